import { RoundtableError } from '#core/errors.js';
import { decodeSafetensors, type Tensor } from '#core/safetensors.js';

/** A tensor of a reference as numbers, whatever its type in the file. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** @throws FORMAT_INVALID */
export function readNumbersFile(bytes: Uint8Array): Map<string, Numbers> {
  const { tensors } = decodeSafetensors(bytes);
  return new Map(
    [...tensors].map(([name, tensor]) => [name, { shape: tensor.shape, values: numbersOf(tensor) }]),
  );
}

function numbersOf({ dtype, data }: Tensor): Float64Array {
  const { buffer } = new Uint8Array(data);
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer);
    case 'F32':
      return Float64Array.from(new Float32Array(buffer));
    case 'I32':
      return Float64Array.from(new Int32Array(buffer));
    case 'I64':
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case 'U8':
    case 'BOOL':
      return Float64Array.from(data);
  }
}

/** @throws FORMAT_INVALID naming what is missing */
export function tensorOf(tensors: ReadonlyMap<string, Numbers>, name: string, file: string): Numbers {
  const tensor = tensors.get(name);
  if (!tensor) throw new RoundtableError('FORMAT_INVALID', `The file ${file} lacks the tensor ${name}.`);
  return tensor;
}
