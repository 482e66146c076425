import { open, readFile, rename } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { decodeSafetensors, encodeSafetensors, type Tensor } from '#core/safetensors.js';
import type { WeightTensor } from '../model.js';
import { elementCount, type Shape } from '../onnx/tensor.js';

/** A data set in memory. */
export interface Dataset {
  readonly samples: number;
  /** Shape of one sample. */
  readonly sample: Shape;
  readonly type: 'uint8' | 'float32';
  readonly x: Uint8Array | Float32Array;
  readonly y: Int32Array;
  /** One more than the highest label. */
  readonly classes: number;
}

/** @throws NOT_FOUND when the file cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new RoundtableError('NOT_FOUND', `The file ${path} cannot be read.`, { cause, details: { path } });
  }
}

/** @throws NOT_FOUND, FORMAT_INVALID */
export async function readWeights(path: string): Promise<WeightTensor[]> {
  const { tensors } = decodeSafetensors(await readBytes(path));
  return [...tensors].map(([name, tensor]) => {
    if (tensor.dtype !== 'F32')
      throw invalid(path, `the weight ${name} has the type ${tensor.dtype}; F32 is expected`);
    return { name, dims: tensor.shape, data: floatsOf(tensor) };
  });
}

/**
 * Writes beside `path`, then renames: whoever finds the file finds all of it.
 * @throws DISK_FULL
 */
export async function writeWeights(path: string, weights: readonly WeightTensor[]): Promise<void> {
  const tensors = weights.map(({ name, dims, data }) => ({
    name,
    dtype: 'F32' as const,
    shape: [...dims],
    data: bytesOf(data),
  }));
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(encodeSafetensors(tensors));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    if (isRoundtableError(cause)) throw cause;
    const full = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
    throw new RoundtableError(
      full ? 'DISK_FULL' : 'INVALID_INPUT',
      `The trained weights cannot be written to ${path}.`,
      {
        cause,
        details: { path },
      },
    );
  }
}

/** @throws NOT_FOUND, FORMAT_INVALID when x or y are missing, of other types, of different lengths, or empty. */
export async function readDataset(path: string): Promise<Dataset> {
  const { tensors } = decodeSafetensors(await readBytes(path));
  const [x, y] = [tensors.get('x'), tensors.get('y')];
  if (!x || !y) throw invalid(path, 'it lacks the tensor x or y');
  const [samples = 0, ...sample] = x.shape;
  if (samples === 0 || y.shape.length !== 1 || y.shape[0] !== samples)
    throw invalid(
      path,
      `x has shape [${x.shape.join(', ')}] and y [${y.shape.join(', ')}]; expected [N, ...] and [N], N at least 1`,
    );
  if (x.dtype !== 'U8' && x.dtype !== 'F32')
    throw invalid(path, `x has the type ${x.dtype}; U8 or F32 is expected`);
  const labels = readLabels(path, y);
  const classes = labels.reduce((most, label) => Math.max(most, label), -1) + 1;
  return {
    samples,
    sample,
    type: x.dtype === 'U8' ? 'uint8' : 'float32',
    x: x.dtype === 'U8' ? x.data : floatsOf(x),
    y: labels,
    classes,
  };
}

function readLabels(path: string, y: Tensor): Int32Array {
  if (y.dtype === 'F32') throw invalid(path, 'y has the type F32; I64, I32 or U8 is expected');
  const count = elementCount(y.shape);
  const { buffer } = new Uint8Array(y.data);
  const values =
    y.dtype === 'I64' ? new BigInt64Array(buffer) : y.dtype === 'I32' ? new Int32Array(buffer) : y.data;
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const label = Number(values[i]);
    if (!(label >= 0 && label < 2 ** 31)) throw invalid(path, `label ${i} is ${label}; labels count from 0`);
    labels[i] = label;
  }
  return labels;
}

/** A view of the file where its place in memory allows one, a copy elsewhere. */
function floatsOf({ data }: Tensor): Float32Array {
  if (data.byteOffset % 4 === 0) return new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  return new Float32Array(new Uint8Array(data).buffer);
}

function invalid(path: string, what: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `The file ${path} cannot be used: ${what}.`, {
    details: { path },
  });
}
