import { readFile, writeFile } from 'node:fs/promises';
import { bytesOf, int32View } from '#core/bytes.js';
import { RoundtableError } from '#core/errors.js';
import { dequantiseModel, valuesOf, type Layout } from '#core/layout.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { diskError } from './files.js';

/**
 * Writes a version's parameters as the float32 weights that training starts from. Only one attempt reads the
 * file, so it needs no sync.
 * @throws DISK_FULL
 */
export async function writeWeights(path: string, layout: Layout, params: Int32Array): Promise<void> {
  const tensors = layout.tensors.map((tensor) => ({
    name: tensor.name,
    dtype: 'F32' as const,
    shape: tensor.shape,
    data: bytesOf(valuesOf(params, tensor)),
  }));
  // The integers keep the room until the floats are written over them: one array less of the model's size.
  const file = encodeSafetensors(tensors);
  dequantiseModel(layout, params, weightsIn(file, layout));
  try {
    await writeFile(path, file);
  } catch (error) {
    throw diskError(error, path);
  }
}

/**
 * Trained weights, D values in the order of the vector.
 * @throws FORMAT_INVALID unless the file has just the layout's tensors as float32, in the byte order of their names
 */
export async function readWeights(path: string, layout: Layout): Promise<Float32Array> {
  return weightsIn(await readFile(path), layout);
}

/** A view: the data of a file in this order is the vector. */
function weightsIn(file: Uint8Array, layout: Layout): Float32Array {
  const found = [...decodeSafetensors(file).tensors];
  if (found.length > layout.tensors.length) throw unexpected(found[layout.tensors.length]?.[0]);
  layout.tensors.forEach(({ name, size }, i) => {
    const [foundName, tensor] = found[i] ?? [];
    if (foundName !== name || tensor?.dtype !== 'F32' || tensor.data.length !== 4 * size)
      throw unexpected(foundName, `tensor ${name} of ${size} float32 values`);
  });
  const bits = int32View(file.subarray(file.length - 4 * layout.dimension));
  return new Float32Array(bits.buffer, bits.byteOffset, bits.length);
}

function unexpected(found = 'nothing', expected = 'nothing more'): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `Training gave ${found} where ${expected} was expected.`);
}
