import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { dataContract, type DataContract } from '#core/messages.js';
import { parseMessage, slug } from '#core/schema.js';
import { messageOf } from './failures.js';

/** A data set of the owner: what a coordinator may know of it, and where it lies. */
export interface DataSet {
  contract: DataContract;
  path: string;
}

/**
 * The files data/NAME.safetensors with tensors x (samples first) and y (labels). Contracts are derived from the
 * files, never written by hand, and again whenever a file changes.
 */
export class DataSets {
  readonly #folder: string;
  readonly #onMistake: (message: string) => void;
  readonly #known = new Map<string, { stamp: string; set: DataSet | null }>();

  /** @param onMistake told once of each file that cannot be served */
  constructor(folder: string, onMistake: (message: string) => void) {
    this.#folder = folder;
    this.#onMistake = onMistake;
  }

  /** What the folder holds now, by name. */
  async list(): Promise<DataSet[]> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.safetensors')).sort();
    const found = await Promise.all(names.map((name) => this.#read(name)));
    return found.filter((set) => set !== null);
  }

  async find(name: string): Promise<DataSet | null> {
    const sets = await this.list();
    return sets.find(({ contract }) => contract.name === name) ?? null;
  }

  async #read(file: string): Promise<DataSet | null> {
    const path = join(this.#folder, file);
    const { size, mtimeMs } = await stat(path);
    const stamp = `${size} ${mtimeMs}`;
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return known.set;
    let set: DataSet | null = null;
    try {
      set = { contract: await readContract(path, file.slice(0, -'.safetensors'.length)), path };
    } catch (error) {
      this.#onMistake(messageOf(error));
    }
    this.#known.set(path, { stamp, set });
    return set;
  }
}

const tensorEntry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().min(0)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});
const dataHeader = z.object({
  x: tensorEntry.refine(
    ({ shape }) => shape.length >= 2,
    'x has the shape [samples, ...shape of one sample]',
  ),
  y: tensorEntry.refine(({ shape }) => shape.length === 1, 'y has the shape [samples]'),
  __metadata__: z.record(z.string(), z.string()).default({}),
});

const HEADER_LIMIT = 1 << 20;

/**
 * Reads the header and the labels only: a data set may be larger than memory. The training process, which reads
 * all of it, checks the rest.
 * @throws FORMAT_INVALID, INVALID_INPUT
 */
async function readContract(path: string, name: string): Promise<DataContract> {
  const file = await open(path, 'r');
  try {
    const headerLength = Number((await readRange(file, 0, 8)).readBigUInt64LE());
    if (headerLength > HEADER_LIMIT)
      throw invalid(path, `its header claims ${headerLength} bytes, more than data needs`);
    const text = (await readRange(file, 8, headerLength)).toString('utf8');
    const { x, y, __metadata__: metadata } = parseMessage(dataHeader, parseJson(path, text), path);
    const samples = x.shape[0] ?? 0;
    if (y.shape[0] !== samples) throw invalid(path, `x has ${samples} samples, y has ${y.shape[0]} labels`);
    const [begin, end] = y.data_offsets;
    const labels = labelsOf(path, y.dtype, await readRange(file, 8 + headerLength + begin, end - begin));
    if (labels.length !== samples)
      throw invalid(path, `y holds ${labels.length} labels where its shape says ${samples}`);
    const contract = {
      name: slug.parse(name),
      samples,
      input: x.shape.slice(1),
      classes: classesOf(path, labels, metadata),
    };
    return parseMessage(dataContract, contract, path);
  } finally {
    await file.close();
  }
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

function labelsOf(path: string, dtype: string, bytes: Buffer): Uint8Array | Int32Array | BigInt64Array {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'U8':
      return bytes;
    case 'I32':
      return new Int32Array(buffer, byteOffset, Math.floor(byteLength / 4));
    case 'I64':
      return new BigInt64Array(buffer, byteOffset, Math.floor(byteLength / 8));
    default:
      throw invalid(path, `y has the type ${dtype}; labels are I64, I32 or U8`);
  }
}

/** The metadata's `classes`, for data that lacks the last ones, or one more than the highest label. */
function classesOf(
  path: string,
  labels: ArrayLike<number | bigint>,
  metadata: Record<string, string>,
): number {
  let highest = -1;
  for (let i = 0; i < labels.length; i++) {
    const label = Number(labels[i]);
    if (label < 0) throw invalid(path, `label ${i} is ${label}; labels count from 0`);
    if (label > highest) highest = label;
  }
  const declared = metadata['classes'];
  if (declared === undefined) return highest + 1;
  const classes = Number(declared);
  if (!(Number.isSafeInteger(classes) && classes > highest))
    throw invalid(path, `its metadata declares ${declared} classes, but a label is ${highest}`);
  return classes;
}

function invalid(path: string, reason: string, cause?: unknown): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `${path} cannot be served: ${reason}.`, { cause });
}
