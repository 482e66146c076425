import { inflateRawSync } from 'node:zlib';
import { RoundtableError } from '#core/errors.js';
import type { Tensor } from '#core/safetensors.js';

/**
 * Reads the arrays of an NPZ file as numpy.savez and savez_compressed write it: a ZIP of NPY files
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). float64 becomes float32.
 * @throws FORMAT_INVALID
 */
export function readNpz(file: Uint8Array, what: string): Map<string, Tensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const end = directoryEnd(view, what);
  const arrays = new Map<string, Tensor>();
  let at = view.getUint32(end + 16, true);
  let total = 0;
  for (let entry = view.getUint16(end + 10, true); entry > 0; entry--) {
    if (at + 46 > file.length || view.getUint32(at, true) !== 0x02014b50)
      throw invalid(what, 'its directory is damaged');
    const [method, packed, size] = [
      view.getUint16(at + 10, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 24, true),
    ];
    const [nameLength, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true)) as [
      number,
      number,
      number,
    ];
    const name = new TextDecoder().decode(file.subarray(at + 46, at + 46 + nameLength));
    const local = view.getUint32(at + 42, true);
    if (local + 30 > file.length || size > maxBytes)
      throw invalid(what, `its entry ${name} is damaged, or beyond 4 GB`);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const raw = file.subarray(start, start + packed);
    if (method !== 0 && method !== 8)
      throw invalid(what, `its entry ${name} is compressed in a way that numpy does not use`);
    total += size;
    if (total > MOST_BYTES || size > MOST_RATIO * packed + 4_096)
      throw invalid(what, `its entry ${name} claims more than ${MOST_RATIO} times its size inside`);
    const content = method === 0 ? raw : inflate(raw, size, `${what}, ${name}`);
    if (name.endsWith('.npy')) arrays.set(name.slice(0, -4), readNpy(content, `${what}, ${name}`));
    at += 46 + nameLength + extra + comment;
  }
  return arrays;
}

const maxBytes = 2 ** 32 - 2;
/** Of all entries together, unpacked: the memory that a file may ask for. */
const MOST_BYTES = 4 * 1024 ** 3;
/** Images compress by about 5; deflate could 1,000. */
const MOST_RATIO = 200;

function inflate(raw: Uint8Array, size: number, what: string): Uint8Array {
  try {
    return inflateRawSync(raw, { maxOutputLength: Math.max(1, size) });
  } catch {
    throw invalid(what, 'it is damaged');
  }
}

/** The record at the end of a ZIP; a comment of up to 64 kB may follow it. */
function directoryEnd(view: DataView, what: string): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 22 - 65_535); at--)
    if (view.getUint32(at, true) === 0x06054b50) return at;
  throw invalid(what, 'it is not a ZIP file');
}

function readNpy(bytes: Uint8Array, what: string): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || new TextDecoder('latin1').decode(bytes.subarray(1, 6)) !== 'NUMPY')
    throw invalid(what, 'it is not an NPY array');
  const wide = (bytes[6] ?? 1) > 1;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  const header = new TextDecoder('latin1').decode(bytes.subarray(wide ? 12 : 10, start));
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? '';
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1] ?? '';
  const shape = dims.split(',').flatMap((dim) => (dim.trim() === '' ? [] : [Number(dim)]));
  if (/'fortran_order':\s*True/.test(header))
    throw invalid(what, 'it is in Fortran order; save numpy.ascontiguousarray of it');
  const count = shape.reduce((product, dim) => product * dim, 1);
  const data = Uint8Array.from(bytes.subarray(start));
  const known = types.get(type);
  if (known === undefined)
    throw invalid(what, `it has the type ${type}; uint8, int32, int64, float32 and float64 are read`);
  if (data.length !== count * known.size)
    throw invalid(what, `its shape is [${shape.join(', ')}], and it holds ${data.length} bytes`);
  if (type !== '<f8') return { dtype: known.dtype, shape, data };
  return {
    dtype: 'F32',
    shape,
    data: new Uint8Array(Float32Array.from(new Float64Array(data.buffer)).buffer),
  };
}

const types = new Map<string, { dtype: Tensor['dtype']; size: number }>([
  ['|u1', { dtype: 'U8', size: 1 }],
  ['<i4', { dtype: 'I32', size: 4 }],
  ['<i8', { dtype: 'I64', size: 8 }],
  ['<f4', { dtype: 'F32', size: 4 }],
  ['<f8', { dtype: 'F32', size: 8 }],
]);

function invalid(what: string, why: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `${what} cannot be read as NPZ: ${why}.`);
}
