/** Numbers on a grid of step 2^exponent (PROTOCOL sections 1 and 2). All arithmetic is IEEE 754 double, exact where said. */
import { RoundtableError } from './errors.js';

/** The largest magnitude of an encoded value; -2^31 is never written, so a negation always fits. */
export const INT32_LIMIT = 2 ** 31 - 1;

/** Exponent of the finest grid, for tensors whose largest magnitude is at most 1. */
export const FINEST_EXPONENT = -26;

/**
 * max(0, ceil(log2 maxAbs)) - 26: the grid of a tensor, fixed for the whole job by version 0.
 * Exact for every double: read from the bits, because Math.log2 rounds just beside powers of two.
 * @throws UPDATE_NOT_FINITE unless maxAbs is finite and not negative
 */
export function stepExponent(maxAbs: number): number {
  if (!(maxAbs >= 0 && maxAbs < Infinity))
    throw new RoundtableError('UPDATE_NOT_FINITE', `A tensor's largest magnitude is ${maxAbs}, not finite.`);
  if (maxAbs <= 1) return FINEST_EXPONENT;
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, maxAbs);
  const exponent = ((bits.getUint32(0) >>> 20) & 0x7ff) - 1023;
  return exponent + (maxAbs === 2 ** exponent ? 0 : 1) + FINEST_EXPONENT;
}

/**
 * Nearest integer, ties to even, for |x| ≤ 2^51. At 2^52 doubles are the integers, so adding 1.5 * 2^52 lets the
 * processor round by its own rule (IEEE 754 roundTiesToEven), and subtracting it again is exact.
 */
export function roundHalfEven(x: number): number {
  return x + ROUNDER - ROUNDER;
}

/**
 * out = roundHalfEven(values / 2^exponent).
 * @throws UPDATE_NOT_FINITE for NaN and infinity, STEP_OUT_OF_RANGE beyond 32 bits; both name the index
 */
export function quantise(values: Float32Array, exponent: number, out: Int32Array): void {
  sameLength(values.length, out.length);
  const scale = 2 ** -exponent;
  for (let i = 0; i < values.length; i++) {
    const x = (values[i] ?? 0) * scale;
    if (!(Math.abs(x) < SATURATION)) throw unrepresentable(values[i] ?? 0, i, exponent);
    out[i] = x + ROUNDER - ROUNDER;
  }
}

/** out = fround(params * 2^exponent): what the network computes with. */
export function dequantise(params: Int32Array, exponent: number, out: Float32Array): void {
  sameLength(params.length, out.length);
  const step = 2 ** exponent;
  for (let i = 0; i < params.length; i++) out[i] = (params[i] ?? 0) * step;
}

/**
 * One tensor of an update: out = roundHalfEven((f64(local) - f64(fround(params * step))) / step), saturated at
 * ±(2^31 - 1). `out` may be `params` itself.
 * @returns how many values were saturated
 * @throws UPDATE_NOT_FINITE for NaN and infinity, with the index
 */
export function encodeDelta(
  local: Float32Array,
  params: Int32Array,
  exponent: number,
  out: Int32Array,
): number {
  sameLength(local.length, params.length);
  sameLength(local.length, out.length);
  const step = 2 ** exponent;
  const scale = 2 ** -exponent;
  let saturated = 0;
  for (let i = 0; i < local.length; i++) {
    const x = ((local[i] ?? 0) - Math.fround((params[i] ?? 0) * step)) * scale;
    if (Math.abs(x) < SATURATION) out[i] = x + ROUNDER - ROUNDER;
    else if (Number.isFinite(x)) {
      out[i] = x > 0 ? INT32_LIMIT : -INT32_LIMIT;
      saturated++;
    } else throw notFinite(local[i] ?? 0, i);
  }
  return saturated;
}

const ROUNDER = 1.5 * 2 ** 52;

/** From here on a magnitude rounds (a tie to even) to 2^31, one more than fits. */
const SATURATION = INT32_LIMIT + 0.5;

function sameLength(a: number, b: number): void {
  if (a !== b)
    throw new RoundtableError(
      'INVALID_INPUT',
      `Vectors of ${a} and ${b} values were given; they must match.`,
    );
}

function unrepresentable(value: number, index: number, exponent: number): RoundtableError {
  if (!Number.isFinite(value)) return notFinite(value, index);
  return new RoundtableError(
    'STEP_OUT_OF_RANGE',
    `Value ${index} is ${value} and does not fit into 32 bits on a grid of 2^${exponent}.`,
    { details: { index, exponent } },
  );
}

function notFinite(value: number, index: number): RoundtableError {
  return new RoundtableError(
    'UPDATE_NOT_FINITE',
    `Value ${index} is ${value}; only finite numbers can be encoded.`,
    {
      details: { index },
    },
  );
}
