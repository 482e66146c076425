/**
 * The safetensors file format (https://github.com/huggingface/safetensors#format): a u64 header length, a JSON
 * header, the data. What is written is deterministic, so that a file's hash is a function of its contents.
 */
import { compareBytes } from './bytes.js';
import { RoundtableError } from './errors.js';

/** Bytes of one element. */
export const DTYPE_SIZES = { F64: 8, F32: 4, I32: 4, I64: 8, U8: 1, BOOL: 1 } as const;
export type Dtype = keyof typeof DTYPE_SIZES;

export interface Tensor {
  dtype: Dtype;
  shape: number[];
  /** Elements in row-major order, little-endian. */
  data: Uint8Array;
}

export interface NamedTensor extends Tensor {
  name: string;
}

export interface SafetensorsFile {
  /** In the order of their data. */
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/** What a reader accepts before it looks closer. */
export interface SafetensorsLimits {
  headerBytes: number;
  tensors: number;
}

const DEFAULT_LIMITS: SafetensorsLimits = { headerBytes: 8 * 2 ** 20, tensors: 65_536 };
const MAX_RANK = 16;

/**
 * Tensors with wide elements come first, then by the UTF-8 bytes of their names, without holes; the data begins
 * at a multiple of 8, so typed arrays can be views of a file read into memory.
 * @throws INVALID_INPUT for a name twice, or data that does not have the size of its shape
 */
export function encodeSafetensors(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = tensors
    .map((tensor) => ({ ...tensor, key: UTF8.encode(tensor.name) }))
    .sort((a, b) => DTYPE_SIZES[b.dtype] - DTYPE_SIZES[a.dtype] || compareBytes(a.key, b.key));
  const entries: [string, unknown][] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.includes('__proto__'))
    throw new RoundtableError('INVALID_INPUT', '"__proto__" cannot be a key of the metadata.');
  if (keys.length > 0)
    entries.push(['__metadata__', Object.fromEntries(keys.map((key) => [key, metadata[key]]))]);
  let end = 0;
  for (const { name, dtype, shape, data } of sorted) {
    if (FORBIDDEN_NAMES.has(name))
      throw new RoundtableError('INVALID_INPUT', `${JSON.stringify(name)} cannot be the name of a tensor.`);
    if (byteSize(dtype, shape) !== data.length)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Tensor ${JSON.stringify(name)} of shape [${shape}] and type ${dtype} was given ${data.length} bytes.`,
      );
    entries.push([name, { dtype, shape, data_offsets: [end, end + data.length] }]);
    end += data.length;
  }
  if (new Set(entries.map(([name]) => name)).size !== entries.length)
    throw new RoundtableError('INVALID_INPUT', 'Two tensors have the same name.');

  // Written entry by entry: an object would move names that look like array indices to its front.
  const members = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = UTF8.encode(`{${members.join(',')}}`);
  const headerLength = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerLength + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.set(json, 8);
  file.fill(SPACE, 8 + json.length, 8 + headerLength);
  let offset = 8 + headerLength;
  for (const { data } of sorted) {
    file.set(data, offset);
    offset += data.length;
  }
  return file;
}

/**
 * Reads a file from anywhere. Every byte of the data belongs to exactly one tensor, every name occurs once, and
 * nothing is allocated from a number that the file claims. The tensors' data are views of `bytes`.
 * @throws FORMAT_INVALID
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  limits: SafetensorsLimits = DEFAULT_LIMITS,
): SafetensorsFile {
  const { header, dataStart } = readHeader(bytes, limits);
  const { __metadata__: rawMetadata, ...rest } = header;
  const entries = Object.entries(rest).map(([name, entry]) => readEntry(name, entry));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, Tensor>();
  let end = 0;
  for (const entry of entries) {
    if (entry.begin !== end)
      throw invalid(`tensor ${JSON.stringify(entry.name)} begins at ${entry.begin}, not at ${end}`);
    end = entry.end;
    if (end > bytes.length - dataStart)
      throw invalid(`tensor ${JSON.stringify(entry.name)} ends behind the file`);
    const data = bytes.subarray(dataStart + entry.begin, dataStart + end);
    tensors.set(entry.name, { dtype: entry.dtype, shape: entry.shape, data });
  }
  if (dataStart + end !== bytes.length)
    throw invalid(`the file has ${bytes.length} bytes, its tensors end at ${dataStart + end}`);
  return { tensors, metadata: readMetadata(rawMetadata) };
}

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

const UTF8 = new TextEncoder();
const SPACE = 0x20;
const FORBIDDEN_NAMES = new Set(['__metadata__', '__proto__']);

function readHeader(
  bytes: Uint8Array,
  limits: SafetensorsLimits,
): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) throw invalid('it is shorter than the length of its header');
  const claimed = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (claimed > BigInt(Math.min(limits.headerBytes, bytes.length - 8)))
    throw invalid(
      `its header claims ${claimed} bytes; allowed and present are ${limits.headerBytes} and ${bytes.length - 8}`,
    );
  const dataStart = 8 + Number(claimed);
  const json = bytes.subarray(8, dataStart);
  if (json[0] !== 0x7b) throw invalid('its header does not begin with {');
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(json);
    header = JSON.parse(text);
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', 'Not a safetensors file: its header is not JSON in UTF-8.', {
      cause,
    });
  }
  if (!isObject(header)) throw invalid('its header is not an object');
  if (Object.keys(header).length > limits.tensors + 1)
    throw invalid(`it names more than ${limits.tensors} tensors`);
  refuseDuplicateKeys(text);
  return { header, dataStart };
}

function readEntry(name: string, entry: unknown): Entry {
  const label = `tensor ${JSON.stringify(name.slice(0, 100))}`;
  if (FORBIDDEN_NAMES.has(name)) throw invalid(`${label} may not have that name`);
  if (!isObject(entry) || Object.keys(entry).length !== 3)
    throw invalid(`${label} is not {dtype, shape, data_offsets}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_SIZES, dtype))
    throw invalid(`${label} has a type other than ${Object.keys(DTYPE_SIZES).join(', ')}`);
  if (!isNaturals(shape) || shape.length > MAX_RANK) throw invalid(`${label} has no valid shape`);
  if (!isNaturals(offsets) || offsets.length !== 2) throw invalid(`${label} has no valid data_offsets`);
  const [begin = 0, end = 0] = offsets;
  const size = byteSize(dtype as Dtype, shape);
  if (end - begin !== size)
    throw invalid(`${label} has data_offsets [${begin}, ${end}] where its shape needs ${size} bytes`);
  return { name, dtype: dtype as Dtype, shape, begin, end };
}

function readMetadata(raw: unknown): Record<string, string> {
  if (raw === undefined) return {};
  if (
    !isObject(raw) ||
    Object.hasOwn(raw, '__proto__') ||
    Object.values(raw).some((value) => typeof value !== 'string')
  )
    throw invalid('its metadata is not an object of strings');
  return raw as Record<string, string>;
}

/** JSON.parse keeps the last of two equal keys, other readers the first: a file must not mean two things. */
function refuseDuplicateKeys(json: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    const letter = json[at];
    if (letter === '{') open.push(new Set());
    else if (letter === '}') open.pop();
    else if (letter === '"') {
      const start = at++;
      while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
      let behind = at + 1;
      while (' \t\n\r'.includes(json[behind] ?? '.')) behind++;
      if (json[behind] !== ':') continue;
      const key: string = JSON.parse(json.slice(start, at + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) throw invalid(`it has the key ${JSON.stringify(key.slice(0, 100))} twice`);
      keys?.add(key);
    }
  }
}

/** Bytes of a tensor; NaN, which no length equals, once a product leaves the integers. */
function byteSize(dtype: Dtype, shape: readonly number[]): number {
  let size: number = DTYPE_SIZES[dtype];
  for (const extent of shape) {
    size *= extent;
    if (!Number.isSafeInteger(size)) return NaN;
  }
  return size;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function invalid(reason: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `Not a valid safetensors file: ${reason}.`);
}
