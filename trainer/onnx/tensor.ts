import { create } from '@bufbuild/protobuf';
import { RoundtableError } from '#core/errors.js';
import {
  TensorProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType as DataType,
  type TensorProto,
} from './onnx.gen.js';

/** Static dimensions of a value, outermost first; [] is a scalar. */
export type Shape = readonly number[];

/** No operator of a network has use for more dimensions; a bound keeps work on shapes constant. */
export const maxRank = 16;

export function elementCount(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** A float32 tensor. Its bytes are those of `data`, not a copy (ONNX and every machine Node runs on: little-endian). */
export function floatTensor(name: string, shape: Shape, data: Float32Array): TensorProto {
  return rawTensor(name, shape, DataType.FLOAT, data);
}

export function intTensor(name: string, shape: Shape, values: readonly number[]): TensorProto {
  return rawTensor(name, shape, DataType.INT64, BigInt64Array.from(values, BigInt));
}

/**
 * The dims of a tensor, checked: not negative, and small enough that the element count is a safe integer; at most maxRank.
 * @throws MODEL_NOT_ONNX
 */
export function tensorShape(tensor: TensorProto): Shape {
  const shape = tensor.dims.map(Number);
  if (shape.length > maxRank || !shape.every((dim) => dim >= 0) || !Number.isSafeInteger(elementCount(shape)))
    throw malformed(tensor, `has the impossible dims [${tensor.dims.slice(0, maxRank).join(', ')}]`);
  return shape;
}

/**
 * Values of a float32 tensor, copied out of the file (whose bytes need not be aligned).
 * @throws MODEL_NOT_ONNX when the dims promise more or fewer values than there are, MODEL_EXTERNAL_DATA.
 */
export function readFloats(tensor: TensorProto): Float32Array<ArrayBuffer> {
  const count = elementCount(tensorShape(tensor));
  const bytes = rawBytes(tensor, count, 4);
  if (bytes) return new Float32Array(bytes);
  if (tensor.floatData.length !== count) throw wrongLength(tensor, tensor.floatData.length, count);
  return Float32Array.from(tensor.floatData);
}

/** Values of a float64 tensor. @throws as readFloats */
export function readDoubles(tensor: TensorProto): Float64Array {
  const count = elementCount(tensorShape(tensor));
  const bytes = rawBytes(tensor, count, 8);
  if (bytes) return new Float64Array(bytes);
  if (tensor.doubleData.length !== count) throw wrongLength(tensor, tensor.doubleData.length, count);
  return Float64Array.from(tensor.doubleData);
}

/**
 * Values of a small tensor as numbers: shapes, axes, scale factors; booleans are 0 and 1. Integers beyond 2^53, by which
 * exporters mean "to the end", become the nearest that a number holds.
 * @throws as readFloats
 */
export function readNumbers(tensor: TensorProto): number[] {
  const count = elementCount(tensorShape(tensor));
  if (tensor.dataType === DataType.FLOAT) return [...readFloats(tensor)];
  const wide = tensor.dataType === DataType.INT64;
  const size = wide ? 8 : tensor.dataType === DataType.BOOL ? 1 : 4;
  const bytes = rawBytes(tensor, count, size);
  const stored = wide ? tensor.int64Data : tensor.int32Data;
  const read = (buffer: ArrayBuffer) =>
    wide ? new BigInt64Array(buffer) : size === 1 ? new Uint8Array(buffer) : new Int32Array(buffer);
  const values = bytes ? read(bytes) : stored;
  if (values.length !== count) throw wrongLength(tensor, values.length, count);
  const most = Number.MAX_SAFE_INTEGER;
  return Array.from(values as ArrayLike<bigint | number>, (value) =>
    Math.max(-most, Math.min(most, Number(value))),
  );
}

/**
 * The same tensor in the one form this project writes: raw little-endian bytes, no comments.
 * @throws MODEL_UNSUPPORTED for types other than float32, int32, int64 and bool
 */
export function canonicalTensor(tensor: TensorProto, name: string): TensorProto {
  const shape = tensorShape(tensor);
  const count = elementCount(shape);
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return floatTensor(name, shape, readFloats(tensor));
    case DataType.INT64: {
      const bytes = rawBytes(tensor, count, 8);
      if (!bytes && tensor.int64Data.length !== count)
        throw wrongLength(tensor, tensor.int64Data.length, count);
      return rawTensor(
        name,
        shape,
        DataType.INT64,
        bytes ? new BigInt64Array(bytes) : BigInt64Array.from(tensor.int64Data),
      );
    }
    case DataType.INT32:
      return rawTensor(name, shape, DataType.INT32, Int32Array.from(readNumbers(tensor)));
    case DataType.BOOL:
      return rawTensor(name, shape, DataType.BOOL, Uint8Array.from(readNumbers(tensor)));
    default:
      throw new RoundtableError(
        'MODEL_UNSUPPORTED',
        `The constant ${tensor.name || name} has the type ${dataTypeName(tensor.dataType)}; float32, int32, int64 and bool are supported. Export the model in float32.`,
        { details: { tensor: tensor.name || name } },
      );
  }
}

/** A constant of any of the types above, from numbers. */
export function numberTensor(
  name: string,
  shape: Shape,
  type: DataType,
  values: readonly number[],
): TensorProto {
  switch (type) {
    case DataType.INT64:
      return intTensor(name, shape, values);
    case DataType.INT32:
      return rawTensor(name, shape, type, Int32Array.from(values));
    case DataType.BOOL:
      return rawTensor(name, shape, type, Uint8Array.from(values));
    default:
      return floatTensor(name, shape, Float32Array.from(values));
  }
}

export function dataTypeName(type: number): string {
  return DataType[type]?.toLowerCase() ?? `type ${type}`;
}

function rawTensor(name: string, shape: Shape, dataType: DataType, data: ArrayBufferView): TensorProto {
  const rawData = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return create(TensorProtoSchema, { name, dims: shape.map(BigInt), dataType, rawData });
}

/** A copy of the raw bytes, or undefined when the tensor keeps its values in a typed field. */
function rawBytes(tensor: TensorProto, count: number, size: number): ArrayBuffer | undefined {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL || tensor.externalData.length > 0)
    throw new RoundtableError(
      'MODEL_EXTERNAL_DATA',
      `The tensor ${tensor.name} keeps its values in another file. Roundtable moves models as one file: export with external_data=False, or save with onnx.save(model, path, save_as_external_data=False).`,
      { details: { tensor: tensor.name } },
    );
  if (tensor.segment) throw malformed(tensor, 'is stored in segments, which ONNX files do not do');
  if (!tensor.rawData.length) return undefined;
  if (tensor.rawData.length !== count * size) throw wrongLength(tensor, tensor.rawData.length / size, count);
  return new Uint8Array(tensor.rawData).buffer; // not slice(): that of a Buffer is a view
}

function wrongLength(tensor: TensorProto, found: number, expected: number): RoundtableError {
  return malformed(
    tensor,
    `has dims [${tensor.dims.join(', ')}], which is ${expected} values, but holds ${found}`,
  );
}

function malformed(tensor: TensorProto, what: string): RoundtableError {
  return new RoundtableError(
    'MODEL_NOT_ONNX',
    `The tensor ${tensor.name} ${what}. The file is damaged; export it again.`,
    {
      details: { tensor: tensor.name },
    },
  );
}
