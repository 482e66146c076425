import { readFileSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { bytesOf } from '#core/bytes.js';
import { RoundtableError } from '#core/errors.js';
import { decodeSafetensors, encodeSafetensors, type Tensor } from '#core/safetensors.js';
import type { InputType } from '../compile/plan.js';
import { labelType, type LossName } from '../loss.js';
import type { WeightTensor } from '../model.js';
import type { DataShape } from '../modelData.js';
import { elementCount, type Shape } from '../onnx/tensor.js';

/** What one input of a model reads, of all samples. */
export interface Column {
  /** Shape of one sample. */
  readonly sample: Shape;
  readonly type: InputType;
  readonly values: Uint8Array | Float32Array | Int32Array | BigInt64Array;
}

/** A data set in memory. */
export interface Dataset {
  readonly samples: number;
  /** By the name of the input; '' where the file holds one tensor x. */
  readonly columns: ReadonlyMap<string, Column>;
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
    throw unreadable(path, cause);
  }
}

/** The same at once. @throws NOT_FOUND when the file cannot be read. */
export function readBytesSync(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): RoundtableError {
  return new RoundtableError('NOT_FOUND', `The file ${path} cannot be read.`, { cause, details: { path } });
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
 * Whoever finds the file finds all of it.
 * @throws DISK_FULL
 */
export async function writeWeights(path: string, weights: readonly WeightTensor[]): Promise<void> {
  const tensors = weights.map(({ name, dims, data }) => ({
    name,
    dtype: 'F32' as const,
    shape: [...dims],
    data: bytesOf(data),
  }));
  await writeWhole(path, encodeSafetensors(tensors));
}

/**
 * Writes beside `path`, then renames.
 * @throws DISK_FULL
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  // Two processes may write the same for a moment: a killed runner's training and that of the next one.
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    const full = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
    throw new RoundtableError(
      full ? 'DISK_FULL' : 'INVALID_INPUT',
      `The trained weights cannot be written to ${path}.`,
      { cause, details: { path } },
    );
  }
}

/** What decides how labels are read. */
export interface LabelOptions {
  readonly loss?: LossName;
  readonly ignoredLabel?: number;
}

/** @throws NOT_FOUND, and as parseDataset */
export async function readDataset(path: string, options: LabelOptions = {}): Promise<Dataset> {
  return parseDataset(await readBytes(path), path, options);
}

/**
 * @param options the loss decides what labels are: class ids, numbers, or (next_token) the samples themselves
 * @throws FORMAT_INVALID when x or y are missing, of other types, of different lengths, or empty.
 */
export function parseDataset(
  bytes: Uint8Array,
  path: string,
  { loss = 'softmax_cross_entropy', ignoredLabel }: LabelOptions = {},
): Dataset {
  const { tensors } = decodeSafetensors(bytes);
  const named = [...tensors].flatMap(([name, tensor]) =>
    name === 'x' ? [['', tensor] as const] : name.startsWith('x/') ? [[name.slice(2), tensor] as const] : [],
  );
  const [first] = named;
  const y = loss === 'next_token' ? first?.[1] : tensors.get('y');
  if (!first || !y) throw invalid(path, 'it lacks the tensor x or y');
  const [count, ...labels] = y.shape;
  const samples = first[1].shape[0] ?? 0;
  const columns = new Map(named.map(([name, x]) => [name, columnOf(path, name, x, samples)]));
  if (samples === 0 || count !== samples)
    throw invalid(
      path,
      `x has shape [${first[1].shape.join(', ')}] and y [${y.shape.join(', ')}]; expected [N, ...] and [N], N at least 1`,
    );
  if (labelType(loss) === 'float32') return { samples, columns, y: readNumbers(path, y), labels, classes: 0 };
  const ids = readLabels(path, y, ignoredLabel);
  const classes =
    ids.reduce((most, label) => (label === ignoredLabel ? most : Math.max(most, label)), -1) + 1;
  return { samples, columns, y: ids, labels, classes };
}

/** What checkModelData asks about a data set. */
export function shapeOf({ columns, classes, labels }: Dataset): DataShape {
  const only = columns.get('');
  const input = only
    ? only.sample
    : new Map([...columns].map(([name, { sample }]): [string, Shape] => [name, sample]));
  return { input, classes, labels };
}

/** The columns in the order of a model's inputs, which checkModelData has compared with them. */
export function columnsOf({ columns }: Dataset, inputs: readonly { readonly name: string }[]): Column[] {
  return inputs.flatMap(({ name }) => columns.get('') ?? columns.get(name) ?? []);
}

function columnOf(path: string, name: string, x: Tensor, samples: number): Column {
  const [count, ...sample] = x.shape;
  const type = inputTypes[x.dtype];
  if (!type) throw invalid(path, `x has the type ${x.dtype}; U8, F32, I32 or I64 is expected`);
  if (count !== samples) throw invalid(path, `x/${name} has ${count} samples, and another tensor ${samples}`);
  return { sample, type, values: valuesOf(x) };
}

const inputTypes: Partial<Record<Tensor['dtype'], InputType>> = {
  U8: 'uint8',
  F32: 'float32',
  I32: 'int32',
  I64: 'int64',
};

function valuesOf(tensor: Tensor): Column['values'] {
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

function readLabels(path: string, y: Tensor, ignored: number | undefined): Int32Array {
  if (y.dtype !== 'I64' && y.dtype !== 'I32' && y.dtype !== 'U8')
    throw invalid(path, `y has the type ${y.dtype}; I64, I32 or U8 is expected`);
  const values = valuesOf(y);
  const labels = new Int32Array(elementCount(y.shape));
  for (let i = 0; i < labels.length; i++) {
    const label = Number(values[i]);
    if (label !== ignored && !(label >= 0 && label < 2 ** 31))
      throw invalid(path, `label ${i} is ${label}; labels count from 0`);
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
