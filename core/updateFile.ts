/**
 * The file in which an update travels (PROTOCOL section 2): `RTUPDATE`, the header's length as u64, the header as
 * canonical JSON padded with spaces to a multiple of 8, then the sections' values. One update has one file.
 */
import { z } from 'zod';
import { int32View } from './bytes.js';
import { canonicalBytes, canonicalJson } from './canonicalJson.js';
import { RoundtableError } from './errors.js';
import { VALUES_PER_LEAF } from './merkle.js';
import { address, jobId, round } from './schema.js';

/** Sections come in this order; their numbers are elements. Later rings and sections get their own literals. */
const updateHeader = z.strictObject({
  format: z.literal(1),
  job: jobId,
  round,
  runner: address,
  ring: z.literal('i32'),
  valuesPerLeaf: z.literal(VALUES_PER_LEAF),
  sections: z.strictObject({
    delta: z
      .number()
      .int()
      .min(1)
      .max(2 ** 31),
  }),
});
export type UpdateHeader = z.output<typeof updateHeader>;

/** What the caller chooses; the rest of the header follows from it. */
export interface UpdateFile extends Pick<UpdateHeader, 'job' | 'round' | 'runner' | 'ring'> {
  sections: { delta: Int32Array };
}

/** @throws INVALID_INPUT for a header that decodeUpdateFile would refuse */
export function encodeUpdateFile({ sections, ...fields }: UpdateFile): Uint8Array {
  const { file, delta } = emptyUpdateFile({ ...fields, dimension: sections.delta.length });
  delta.set(sections.delta);
  return file;
}

/**
 * A file whose values are all zero yet; `delta` is the view of it to write them to.
 * @throws INVALID_INPUT as encodeUpdateFile
 */
export function emptyUpdateFile({
  dimension,
  ...fields
}: Omit<UpdateFile, 'sections'> & { dimension: number }): { file: Uint8Array; delta: Int32Array } {
  const header = { format: 1, ...fields, valuesPerLeaf: VALUES_PER_LEAF, sections: { delta: dimension } };
  const parsed = updateHeader.safeParse(header);
  if (!parsed.success)
    throw new RoundtableError('INVALID_INPUT', `Not the header of an update: ${mistakes(parsed.error)}.`);
  const json = canonicalBytes(parsed.data);
  const headerLength = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(16 + headerLength + 4 * dimension);
  file.set(MAGIC);
  new DataView(file.buffer).setBigUint64(8, BigInt(headerLength), true);
  file.set(json, 16);
  file.fill(SPACE, 16 + json.length, 16 + headerLength);
  return { file, delta: new Int32Array(file.buffer, 16 + headerLength) };
}

/**
 * `delta` is a view of `bytes` where these are 4-aligned.
 * @throws FORMAT_INVALID, also for a header in any other spelling and for the value -2^31, which is never written
 */
export function decodeUpdateFile(bytes: Uint8Array): { header: UpdateHeader; delta: Int32Array } {
  const { header, valuesAt } = decodeUpdateHead(bytes);
  const expected = valuesAt + 4 * header.sections.delta;
  if (bytes.length !== expected) throw invalid(`it has ${bytes.length} bytes, its header says ${expected}`);
  const delta = int32View(bytes.subarray(valuesAt));
  const lowest = delta.indexOf(-(2 ** 31));
  if (lowest >= 0) throw invalid(`value ${lowest} is -2^31`);
  return { header, delta };
}

/** Bytes of a file's beginning in which its header is for certain. */
export const longestUpdateHead = 16 + 4_096;

/**
 * For whoever reads a file in pieces.
 * @param bytes its beginning, at least up to its values
 * @returns its header, and where the values begin
 * @throws FORMAT_INVALID as decodeUpdateFile
 */
export function decodeUpdateHead(bytes: Uint8Array): { header: UpdateHeader; valuesAt: number } {
  if (bytes.length < 16 || MAGIC.some((byte, i) => bytes[i] !== byte))
    throw invalid('it does not begin with RTUPDATE');
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset, 16).getBigUint64(8, true);
  if (headerLength > BigInt(Math.min(longestUpdateHead, bytes.length) - 16) || headerLength % 8n !== 0n)
    throw invalid(`its header claims ${headerLength} bytes`);
  const valuesAt = 16 + Number(headerLength);
  return { header: readHeader(bytes.subarray(16, valuesAt)), valuesAt };
}

const MAGIC = new TextEncoder().encode('RTUPDATE');
const SPACE = 0x20;

function readHeader(bytes: Uint8Array): UpdateHeader {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', 'Not an update file: its header is not JSON in UTF-8.', {
      cause,
    });
  }
  const parsed = updateHeader.safeParse(json);
  if (!parsed.success) throw invalid(`its header is wrong: ${mistakes(parsed.error)}`);
  const canonical = canonicalJson(parsed.data);
  if (text !== canonical.padEnd(Math.ceil(canonical.length / 8) * 8))
    throw invalid('its header is not canonical JSON');
  return parsed.data;
}

function mistakes(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => `${path.map(String).join('.') || '(top)'}: ${message}`)
    .join('; ');
}

function invalid(reason: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `Not an update file: ${reason}.`);
}
