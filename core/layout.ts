/** Where each trainable tensor lies in the parameter vector, and on which grid (PROTOCOL section 1). */
import { compareBytes } from './bytes.js';
import { hashJson } from './canonicalJson.js';
import { RoundtableError } from './errors.js';
import { dequantise, encodeDelta, quantise, stepExponent } from './fixedPoint.js';
import { type Hash, type Sha256Hex } from './hex.js';

export interface TensorLayout {
  name: string;
  shape: number[];
  /** The grid's step is 2^exponent. */
  exponent: number;
  /** Index of the first element in the vector. */
  offset: number;
  /** Number of elements. */
  size: number;
}

export interface Layout {
  /** In byte order of their UTF-8 names. */
  tensors: TensorLayout[];
  /** D, the length of the vector. */
  dimension: number;
}

/** A trainable tensor as a model file holds it, row-major. */
export interface WeightTensor {
  name: string;
  dims: readonly number[];
  data: Float32Array;
}

/** Largest D: 2^31 int32 values are 8 GiB, more than one typed array needs to be. */
const MAX_DIMENSION = 2 ** 31;

/**
 * The layout that version 0 fixes for the whole job: each grid from the tensor's largest magnitude.
 * @throws INVALID_INPUT for no tensors, a name twice, an empty tensor or data of another size than its shape;
 * UPDATE_NOT_FINITE for NaN and infinity
 */
export function createLayout(weights: readonly WeightTensor[]): Layout {
  return layoutOf(
    weights.map(({ name, dims, data }) => {
      if (elements(dims) !== data.length)
        throw new RoundtableError(
          'INVALID_INPUT',
          `Tensor ${JSON.stringify(name)} of shape [${dims}] was given ${data.length} values.`,
        );
      return { name, shape: [...dims], exponent: stepExponent(largestMagnitude(data)) };
    }),
  );
}

/** Orders tensors with known grids and gives them their offsets. @throws INVALID_INPUT as createLayout */
export function layoutOf(tensors: readonly Pick<TensorLayout, 'name' | 'shape' | 'exponent'>[]): Layout {
  if (tensors.length === 0)
    throw new RoundtableError('INVALID_INPUT', 'A model needs at least one trainable tensor.');
  const utf8 = new TextEncoder();
  const sorted = tensors
    .map((tensor) => ({ tensor, key: utf8.encode(tensor.name) }))
    .sort((a, b) => compareBytes(a.key, b.key));
  let offset = 0;
  const placed = sorted.map(({ tensor: { name, shape, exponent }, key }, i) => {
    const before = sorted[i - 1];
    if (before && compareBytes(before.key, key) === 0)
      throw new RoundtableError('INVALID_INPUT', `Two tensors are named ${JSON.stringify(name)}.`);
    if (!Number.isInteger(exponent) || exponent < -26 || exponent > 102)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Tensor ${JSON.stringify(name)} has the step 2^${exponent}; exponents lie between -26 and 102.`,
      );
    const size = elements(shape);
    if (!(size >= 1 && offset + size <= MAX_DIMENSION))
      throw new RoundtableError(
        'INVALID_INPUT',
        `Tensor ${JSON.stringify(name)} has the shape [${shape}]; a model has 1 to 2^31 values.`,
      );
    offset += size;
    return { name, shape: [...shape], exponent, offset: offset - size, size };
  });
  return { tensors: placed, dimension: offset };
}

/** H over canonical JSON of [{name, shape, exponent}]: the grids that a version id commits to. */
export function stepsHash(hash: Hash, layout: Layout): Sha256Hex {
  return hashJson(
    hash,
    layout.tensors.map(({ name, shape, exponent }) => ({ name, shape, exponent })),
  );
}

/** The parameter vector P of a model's float weights, on the layout's grids. */
export function quantiseModel(layout: Layout, weights: readonly WeightTensor[]): Int32Array {
  const byName = new Map(weights.map((weight) => [weight.name, weight.data]));
  const params = new Int32Array(layout.dimension);
  for (const tensor of layout.tensors) {
    const data = byName.get(tensor.name);
    if (!data)
      throw new RoundtableError('INVALID_INPUT', `The model has no tensor ${JSON.stringify(tensor.name)}.`);
    quantise(data, tensor.exponent, valuesOf(params, tensor));
  }
  return params;
}

/** The float weights that the network computes with, all D of them in the vector's order. */
export function dequantiseModel(
  layout: Layout,
  params: Int32Array,
  floats: Float32Array = new Float32Array(layout.dimension),
): Float32Array {
  for (const tensor of layout.tensors)
    dequantise(valuesOf(params, tensor), tensor.exponent, valuesOf(floats, tensor));
  return floats;
}

/** The same as a model file holds them, tensor by tensor. */
export function floatTensors(layout: Layout, params: Int32Array): WeightTensor[] {
  const floats = dequantiseModel(layout, params);
  return layout.tensors.map((tensor) => ({
    name: tensor.name,
    dims: tensor.shape,
    data: valuesOf(floats, tensor),
  }));
}

/**
 * What training changed, as integers: see encodeDelta.
 * @param local trained weights, D values in the vector's order
 * @param delta room for the integers, such as an update file's
 * @throws UPDATE_NOT_FINITE, naming tensor and index within it
 */
export function encodeUpdate(
  layout: Layout,
  local: Float32Array,
  params: Int32Array,
  delta: Int32Array = new Int32Array(layout.dimension),
): { delta: Int32Array; saturated: number } {
  let saturated = 0;
  for (const tensor of layout.tensors) {
    try {
      saturated += encodeDelta(
        valuesOf(local, tensor),
        valuesOf(params, tensor),
        tensor.exponent,
        valuesOf(delta, tensor),
      );
    } catch (error) {
      if (!(error instanceof RoundtableError)) throw error;
      throw new RoundtableError(error.code, `Tensor ${JSON.stringify(tensor.name)}: ${error.message}`, {
        details: { ...error.details, tensor: tensor.name },
        cause: error,
      });
    }
  }
  return { delta, saturated };
}

/** The part of a vector that holds one tensor, as a view. @throws INVALID_INPUT when the vector is too short */
export function valuesOf<T extends Int32Array | Float32Array>(vector: T, tensor: TensorLayout): T {
  if (vector.length < tensor.offset + tensor.size)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A vector of ${vector.length} values ends before tensor ${JSON.stringify(tensor.name)} does.`,
    );
  return vector.subarray(tensor.offset, tensor.offset + tensor.size) as T;
}

function elements(shape: readonly number[]): number {
  let size = 1;
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || extent < 0) return NaN;
    size *= extent;
  }
  return size;
}

function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (const value of values) {
    const magnitude = Math.abs(value);
    if (!(magnitude <= largest)) largest = magnitude;
    if (largest !== largest) break;
  }
  return largest;
}
