import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bytesOf } from '#core/bytes.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { readModel } from '#trainer/model.js';
import { permutation } from '#trainer/run/permutation.js';
import { twoLayers } from '../../examples/mnist/models.js';

/** What every contender does, as PEERS_WORK tells it to them: FedAvg of the 2NN on Fashion-MNIST, dealt at random. */
export interface Work {
  /** Folder of the files that `writeWork` makes. */
  readonly data: string;
  readonly clients: number;
  readonly rounds: number;
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
}

/** McMahan et al. 2017 (arXiv 1602.05629): E = 1, B = 10; all ten clients take part in all five rounds. */
export const standardWork = { clients: 10, rounds: 5, epochs: 1, batch: 10, rate: 0.1 } as const;

const pixels = 28 * 28;

/** The network that every contender starts from. */
export const model = (): Uint8Array => twoLayers();

/**
 * Writes the images shuffled, so that a slice is a client's share, and the first weights, in PyTorch's order.
 * @param source folder with the four .gz files as Debian packs them (IDX format of yann.lecun.com/exdb/mnist)
 */
export function writeWork(source: string, folder: string): void {
  if (existsSync(join(folder, 'initial.f32'))) return;
  mkdirSync(folder, { recursive: true });
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, `${name}.new`), bytes);
    renameSync(join(folder, `${name}.new`), join(folder, name));
  };
  for (const [name, prefix] of [
    ['train', 'train'],
    ['test', 't10k'],
  ] as const) {
    const images = readIdx(join(source, `${prefix}-images-idx3-ubyte.gz`));
    const labels = readIdx(join(source, `${prefix}-labels-idx1-ubyte.gz`));
    const order = permutation(new Uint8Array(32), 0, labels.length);
    const x = new Uint8Array(images.length);
    order.forEach((from, to) => x.set(images.subarray(from * pixels, (from + 1) * pixels), to * pixels));
    write(`${name}-x.u8`, x);
    write(
      `${name}-y.u8`,
      Uint8Array.from(order, (from) => labels[from] ?? 0),
    );
  }
  const { weights } = readModel(model());
  const byName = new Map(weights.map(({ name, data }) => [name, data]));
  const inOrder = [1, 2, 3].flatMap((layer) => [`fc${layer}.weight`, `fc${layer}.bias`]);
  write('initial.f32', Buffer.concat(inOrder.map((name) => bytesOf(byName.get(name) ?? new Float32Array()))));
}

/** One client's share as a data set of a runner. */
export function clientData({ data, clients }: Work, client: number): Uint8Array {
  const { size } = statSync(join(data, 'train-y.u8'));
  const [from = 0, to = 0] = [client, client + 1].map((k) => Math.floor((size * k) / clients));
  return labelled(data, 'train', from, to - from);
}

/** The held-out images as the coordinator evaluates on them. */
export function heldOutData({ data }: Work): Uint8Array {
  return labelled(data, 'test', 0, statSync(join(data, 'test-y.u8')).size);
}

function labelled(folder: string, name: string, from: number, count: number): Uint8Array {
  const x = slice(join(folder, `${name}-x.u8`), from * pixels, count * pixels);
  const y = slice(join(folder, `${name}-y.u8`), from, count);
  return encodeSafetensors(
    [
      { name: 'x', dtype: 'U8', shape: [count, pixels], data: x },
      { name: 'y', dtype: 'U8', shape: [count], data: y },
    ],
    { classes: '10' },
  );
}

function slice(path: string, from: number, length: number): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(length);
    readSync(file, bytes, 0, length, from);
    return bytes;
  } finally {
    closeSync(file);
  }
}

/** The values of a file of unsigned bytes, whatever its shape. */
function readIdx(path: string): Uint8Array {
  const bytes = gunzipSync(readFileSync(path));
  return bytes.subarray(4 + 4 * (bytes[3] ?? 0));
}
