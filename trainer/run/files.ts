import { open, readFile, rename } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { decodeSafetensors, encodeSafetensors, type Tensor } from '#core/safetensors.js';
import type { InputType } from '../compile.js';
import { labelType, type LossName } from '../loss.js';
import type { WeightTensor } from '../model.js';
import { elementCount, type Shape } from '../onnx/tensor.js';

/** A data set in memory. */
export interface Dataset {
  readonly samples: number;
  /** Shape of one sample. */
  readonly sample: Shape;
  readonly type: InputType;
  readonly x: Uint8Array | Float32Array | Int32Array | BigInt64Array;
  /** Class ids as int32, or numbers as float32. */
  readonly y: Int32Array | Float32Array;
  /** Shape of one sample's labels; [] for a class. */
  readonly labels: Shape;
  /** One more than the highest label; 0 for numbers. */
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

/**
 * @param loss decides what labels are: class ids (the default), numbers, or (next_token) the samples themselves
 * @throws NOT_FOUND, FORMAT_INVALID when x or y are missing, of other types, of different lengths, or empty.
 */
export async function readDataset(path: string, loss: LossName = 'softmax_cross_entropy'): Promise<Dataset> {
  const { tensors } = decodeSafetensors(await readBytes(path));
  const x = tensors.get('x');
  const y = loss === 'next_token' ? x : tensors.get('y');
  if (!x || !y) throw invalid(path, 'it lacks the tensor x or y');
  const [samples = 0, ...sample] = x.shape;
  const [count, ...labels] = y.shape;
  const numeric = labelType(loss) === 'float32';
  if (samples === 0 || count !== samples)
    throw invalid(
      path,
      `x has shape [${x.shape.join(', ')}] and y [${y.shape.join(', ')}]; expected [N, ...] and [N], N at least 1`,
    );
  const type = inputTypes[x.dtype];
  if (!type) throw invalid(path, `x has the type ${x.dtype}; U8, F32, I32 or I64 is expected`);
  if (numeric) return { samples, sample, type, x: valuesOf(x), y: readNumbers(path, y), labels, classes: 0 };
  const ids = readLabels(path, y);
  const classes = ids.reduce((most, label) => Math.max(most, label), -1) + 1;
  return { samples, sample, type, x: valuesOf(x), y: ids, labels, classes };
}

const inputTypes: Partial<Record<Tensor['dtype'], InputType>> = {
  U8: 'uint8',
  F32: 'float32',
  I32: 'int32',
  I64: 'int64',
};

function valuesOf(tensor: Tensor): Dataset['x'] {
  if (tensor.dtype === 'F32') return floatsOf(tensor);
  if (tensor.dtype === 'U8') return tensor.data;
  const { buffer } = new Uint8Array(tensor.data);
  return tensor.dtype === 'I64' ? new BigInt64Array(buffer) : new Int32Array(buffer);
}

function readNumbers(path: string, y: Tensor): Float32Array {
  const values = inputTypes[y.dtype] ? valuesOf(y) : undefined;
  if (!values) throw invalid(path, `y has the type ${y.dtype}; F32 is expected`);
  return values instanceof Float32Array
    ? values
    : Float32Array.from(values as ArrayLike<number | bigint>, Number);
}

function readLabels(path: string, y: Tensor): Int32Array {
  if (y.dtype !== 'I64' && y.dtype !== 'I32' && y.dtype !== 'U8')
    throw invalid(path, `y has the type ${y.dtype}; I64, I32 or U8 is expected`);
  const values = valuesOf(y);
  const labels = new Int32Array(elementCount(y.shape));
  for (let i = 0; i < labels.length; i++) {
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
