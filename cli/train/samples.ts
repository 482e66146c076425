import { basename, dirname, join } from 'node:path';
import { bytesOf } from '#core/bytes.js';
import { RoundtableError } from '#core/errors.js';
import { decodeSafetensors, encodeSafetensors, type Tensor } from '#core/safetensors.js';
import { readIdx } from '#trainer/data/idx.js';
import { elementCount } from '#trainer/onnx/tensor.js';
import { readNpz } from '#trainer/data/npz.js';
import { readBytesSync } from '#trainer/run/files.js';
import { readCsv } from '../data/csv.js';

/**
 * Samples in any of the forms the trainer reads, as its own: safetensors with x and y, in the shape the model expects.
 * @param label the column of a CSV that holds the class; the last one by default
 * @param sample shape of one sample, where the file's has as many values but other dims (images without channels)
 * @throws FORMAT_INVALID, NOT_FOUND
 */
export function readSamples(path: string, label: string | undefined, sample: readonly number[]): Uint8Array {
  const { x, y, named } = tensorsOf(path, label);
  if (named && named.length > 0) return encodeSafetensors([...named, ...(y ? [{ name: 'y', ...y }] : [])]);
  if (!x) throw invalid(path, 'it has no array x');
  const [count = 0, ...dims] = x.shape;
  const shape = elementCount(dims) === elementCount(sample) ? [count, ...sample] : x.shape;
  return encodeSafetensors([{ name: 'x', ...x, shape }, ...(y ? [{ name: 'y', ...y }] : [])]);
}

function tensorsOf(
  path: string,
  label: string | undefined,
): { x: Tensor | undefined; y: Tensor | undefined; named?: ({ name: string } & Tensor)[] } {
  const file = readBytesSync(path);
  if (/\.csv$/i.test(path)) {
    const text = new TextDecoder().decode(file);
    const last =
      text
        .slice(0, text.search(/\r?\n|$/))
        .split(',')
        .at(-1)
        ?.trim()
        .replaceAll('"', '') ?? '';
    const data = readCsv(text, label ?? last, path);
    return {
      x: { dtype: 'F32', shape: [data.y.length, ...data.shape], data: bytesOf(data.x) },
      y: { dtype: 'I32', shape: [data.y.length], data: bytesOf(data.y) },
    };
  }
  if (/\.npz$/i.test(path)) {
    const arrays = readNpz(file, path);
    const first = (...names: string[]) => names.map((name) => arrays.get(name)).find((array) => array);
    return { x: first('x', 'x_train', 'images', 'arr_0'), y: first('y', 'y_train', 'labels', 'arr_1') };
  }
  if (/idx\d/.test(basename(path)) || /\.idx(\.gz)?$/i.test(path)) {
    const labels = join(dirname(path), basename(path).replace('images', 'labels').replace(/idx\d/, 'idx1'));
    if (labels === path)
      throw invalid(path, 'name the file of the images; that of the labels is expected beside it');
    return { x: readIdx(file, path), y: readIdx(readBytesSync(labels), labels) };
  }
  const { tensors } = decodeSafetensors(file);
  // Of a model with several inputs: x/NAME.
  const named = [...tensors].flatMap(([name, tensor]) =>
    name.startsWith('x/') ? [{ name, ...tensor }] : [],
  );
  return { x: tensors.get('x'), y: tensors.get('y'), named };
}

function invalid(path: string, why: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `${path} cannot be used as data: ${why}.`);
}
