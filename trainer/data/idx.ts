import { gunzipSync } from 'node:zlib';
import { RoundtableError } from '#core/errors.js';
import type { Tensor } from '#core/safetensors.js';

/** Reads an IDX file (the format of MNIST, http://yann.lecun.com/exdb/mnist), gzipped or not. @throws FORMAT_INVALID */
export function readIdx(file: Uint8Array, what: string): Tensor {
  const bytes = file[0] === 0x1f && file[1] === 0x8b ? unzipped(file, what) : file;
  const [zero, zero2, type = 0, rank = 0] = bytes;
  const dtype = types.get(type);
  if (zero !== 0 || zero2 !== 0 || !dtype || rank < 1 || bytes.length < 4 + 4 * rank)
    throw invalid(what, 'it does not begin like an IDX file of bytes, 32-bit integers or floats');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const data = Uint8Array.from(bytes.subarray(4 + 4 * rank));
  const size = dtype === 'U8' ? 1 : 4;
  if (data.length !== shape.reduce((product, dim) => product * dim, size))
    throw invalid(what, `its shape is [${shape.join(', ')}], and it holds ${data.length} bytes`);
  // IDX is big-endian.
  if (size === 4) for (let at = 0; at < data.length; at += 4) data.subarray(at, at + 4).reverse();
  return { dtype, shape, data };
}

/** What is larger when unzipped is no data set for one machine's memory, but perhaps a bomb of some megabytes. */
const MOST_BYTES = 2 * 1024 ** 3;

function unzipped(file: Uint8Array, what: string): Uint8Array {
  try {
    return gunzipSync(file, { maxOutputLength: Math.min(MOST_BYTES, MOST_RATIO * file.length + 4_096) });
  } catch {
    throw invalid(what, `it cannot be unzipped, or has more than ${MOST_RATIO} times its size inside`);
  }
}
/** Images compress by about 5; gzip could 1,000. */
const MOST_RATIO = 200;

const types = new Map<number, Tensor['dtype']>([
  [0x08, 'U8'],
  [0x0c, 'I32'],
  [0x0d, 'F32'],
]);

function invalid(what: string, why: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `${what} cannot be read as IDX: ${why}.`);
}
