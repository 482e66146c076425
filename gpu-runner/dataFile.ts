import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { dataContract, type DataContract } from '#core/messages.js';
import { parseMessage, slug } from '#core/schema.js';

const tensorEntry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().min(0)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});
type TensorEntry = z.output<typeof tensorEntry>;

const samples = tensorEntry.refine(
  ({ shape }) => shape.length >= 2,
  'x has the shape [samples, ...shape of one sample]',
);
const dataHeader = z
  .object({
    x: samples.optional(),
    y: tensorEntry
      .refine(({ shape }) => shape.length >= 1, 'y has the shape [samples, ...shape of the labels of one]')
      .optional(),
    __metadata__: z.record(z.string(), z.string()).default({}),
  })
  .catchall(tensorEntry);

const HEADER_LIMIT = 1 << 20;

/**
 * What a file of samples (x, or x/NAME for each input of a model) and labels (y) offers. Only the header and the labels
 * are read, or, where there are none, the tokens: a data set may be larger than memory. The training process, which
 * reads all of it, checks the rest.
 * @throws FORMAT_INVALID, INVALID_INPUT
 */
export async function readContract(path: string, name: string): Promise<DataContract> {
  const file = await open(path, 'r');
  try {
    const headerLength = Number((await readRange(file, 0, 8)).readBigUInt64LE());
    if (headerLength > HEADER_LIMIT)
      throw invalid(path, `its header claims ${headerLength} bytes, more than data needs`);
    const text = (await readRange(file, 8, headerLength)).toString('utf8');
    const header = parseMessage(dataHeader, parseJson(path, text), path);
    const { y, __metadata__: metadata } = header;
    const { input, count } = inputsOf(path, header);
    if (y && y.shape[0] !== count) throw invalid(path, `x has ${count} samples, y has ${y.shape[0]} labels`);
    const read = { path, file, start: 8 + headerLength, metadata };
    const contract = {
      name: slug.parse(name),
      samples: count,
      input,
      ...(y ? {} : { labels: null }),
      ...(y && y.shape.length > 1 ? { labels: y.shape.slice(1) } : {}),
      classes: await classesOf(read, y ?? tokensOf(path, header.x)),
    };
    return parseMessage(dataContract, contract, path);
  } finally {
    await file.close();
  }
}

function inputsOf(
  path: string,
  header: z.output<typeof dataHeader>,
): { input: DataContract['input']; count: number } {
  const { x } = header;
  const named = Object.entries(header).flatMap(([name, tensor]) =>
    name.startsWith('x/') ? [[name.slice(2), tensor as TensorEntry] as const] : [],
  );
  const tensors = [...(x ? [x] : []), ...named.map(([, tensor]) => tensor)];
  const counts = new Set(tensors.map(({ shape }) => shape[0] ?? 0));
  const [count] = counts;
  if (count === undefined || (x && named.length > 0))
    throw invalid(path, 'it lacks x: one tensor x, or x/NAME for each input of the model, is expected');
  if (counts.size > 1) throw invalid(path, `its inputs have ${[...counts].join(' and ')} samples`);
  const input = x
    ? x.shape.slice(1)
    : Object.fromEntries(named.map(([name, { shape }]) => [name, shape.slice(1)]));
  return { input, count };
}

/** Samples without labels are tokens, each of which is told from those before it. */
function tokensOf(path: string, x: TensorEntry | undefined): TensorEntry {
  if (x && integers[x.dtype] !== undefined) return x;
  throw invalid(path, 'it has no labels y; only tokens (I32 or I64 in x) are learned without');
}

interface Reading {
  path: string;
  file: FileHandle;
  /** Where the tensors begin. */
  start: number;
  metadata: Record<string, string>;
}

/** Bytes of a label. */
const integers: Record<string, number> = { U8: 1, I32: 4, I64: 8 };
const PIECE = 1 << 24;

/**
 * The metadata's `classes`, for data that lacks the last ones, or one more than the highest label. Those that the
 * metadata call `ignored` do not count. Labels that are numbers have none.
 */
async function classesOf(reading: Reading, labels: TensorEntry): Promise<number> {
  const { path, metadata } = reading;
  const [begin, end] = labels.data_offsets;
  const expected = labels.shape.reduce((product, extent) => product * extent, 1);
  const width = labels.dtype === 'F32' ? 4 : integers[labels.dtype];
  if (width === undefined)
    throw invalid(path, `y has the type ${labels.dtype}; I64, I32, U8 or F32 is expected`);
  if (end - begin !== expected * width)
    throw invalid(path, `y holds ${(end - begin) / width} labels where its shape says ${expected}`);
  if (labels.dtype === 'F32') return 0;
  const ignored = metadata['ignored'] === undefined ? undefined : Number(metadata['ignored']);
  const highest = await highestOf(reading, labels, ignored);
  if (highest < 0) throw invalid(path, 'it has no label that counts');
  const declared = metadata['classes'];
  if (declared === undefined) return highest + 1;
  const classes = Number(declared);
  if (!(Number.isSafeInteger(classes) && classes > highest))
    throw invalid(path, `its metadata declares ${declared} classes, but a label is ${highest}`);
  return classes;
}

async function highestOf(
  { path, file, start }: Reading,
  { dtype, data_offsets: [begin, end] }: TensorEntry,
  ignored: number | undefined,
): Promise<number> {
  let highest = -1;
  const width = integers[dtype] ?? 1;
  for (let at = begin; at < end; at += PIECE) {
    const values = integersIn(dtype, await readRange(file, start + at, Math.min(PIECE, end - at)));
    for (let i = 0; i < values.length; i++) {
      const label = Number(values[i]);
      if (label === ignored) continue;
      if (label < 0)
        throw invalid(path, `label ${(at - begin) / width + i} is ${label}; labels count from 0`);
      if (label > highest) highest = label;
    }
  }
  return highest;
}

function integersIn(dtype: string, { buffer, byteOffset, byteLength }: Buffer): ArrayLike<number | bigint> {
  if (dtype === 'U8') return new Uint8Array(buffer, byteOffset, byteLength);
  if (dtype === 'I32') return new Int32Array(buffer, byteOffset, byteLength / 4);
  return new BigInt64Array(buffer, byteOffset, byteLength / 8);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, 'its header is not JSON', error);
  }
}

async function readRange(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  if (bytesRead < length)
    throw new RoundtableError('FORMAT_INVALID', `The file ends ${length - bytesRead} bytes early.`);
  return bytes;
}

function invalid(path: string, reason: string, cause?: unknown): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `${path} cannot be served: ${reason}.`, { cause });
}
