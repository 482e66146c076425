/** The server's step from a sum to the next version, in exact integer arithmetic (PROTOCOL section 4). */
import { RoundtableError } from './errors.js';
import { INT32_LIMIT, roundHalfEven } from './fixedPoint.js';
import { MAX_TOTAL_WEIGHT } from './weights.js';

/** numerator / denominator; 0 ≤ numerator ≤ 2^20, 1 ≤ denominator ≤ 2^20. */
export interface Fraction {
  numerator: number;
  denominator: number;
}

export const MAX_FRACTION_TERM = 2 ** 20;

/**
 * FedAvg (McMahan et al. 2017, https://arxiv.org/abs/1602.05629) with a server rate a/b:
 * P' = P + roundHalfEven(S*a / (W*b)).
 * @param P parameters, D of them
 * @param S weighted sum of the updates, D integers with |S| ≤ W * (2^31 - 1)
 * @param W sum of the weights, 1 to 2^22
 * @throws STEP_OUT_OF_RANGE with the index when a parameter leaves ±(2^31 - 1); INVALID_INPUT
 */
export function fedAvg(P: Int32Array, S: Float64Array, W: number, rate: Fraction): Int32Array {
  checkInputs(P, S, W);
  checkFraction(rate, 'server rate');
  const { numerator: a, denominator: b } = rate;
  const next = new Int32Array(P.length);
  for (let i = 0; i < P.length; i++) {
    const step = scaledMean(checkedSum(S[i] ?? 0, W, i), W, a, b);
    next[i] = inRange((P[i] ?? 0) + step, i, 'parameter');
  }
  return next;
}

/**
 * FedAvgM, server momentum (Hsu et al. 2019, https://arxiv.org/abs/1909.06335), its velocity on the grid of P:
 * v' = roundHalfEven(v*m) + roundHalfEven(S/W), then P' = P + roundHalfEven(v'*a/b).
 * @param velocity v, D values, all zero before the first round; its valuesRoot of type `state` is the stateRoot
 * @throws STEP_OUT_OF_RANGE, INVALID_INPUT as fedAvg
 */
export function fedAvgM(
  P: Int32Array,
  velocity: Int32Array,
  S: Float64Array,
  W: number,
  rate: Fraction,
  momentum: Fraction,
): { params: Int32Array; velocity: Int32Array } {
  checkInputs(P, S, W);
  checkFraction(rate, 'server rate');
  checkFraction(momentum, 'momentum');
  if (velocity.length !== P.length) throw lengths(velocity.length, P.length);
  const { numerator: a, denominator: b } = rate;
  const { numerator: m, denominator: n } = momentum;
  const params = new Int32Array(P.length);
  const nextVelocity = new Int32Array(P.length);
  for (let i = 0; i < P.length; i++) {
    const mean = scaledMean(checkedSum(S[i] ?? 0, W, i), W, 1, 1);
    const v = inRange(addQuotient(0, (velocity[i] ?? 0) * m, n) + mean, i, 'velocity');
    nextVelocity[i] = v;
    params[i] = stepBy(P[i] ?? 0, v, a, b, i);
  }
  return { params, velocity: nextVelocity };
}

/**
 * The second half of fedAvgM: P' = P + roundHalfEven(v'*a/b), for whoever has the new velocity and not the updates.
 * @throws STEP_OUT_OF_RANGE, INVALID_INPUT as fedAvg
 */
export function velocityStep(
  P: Int32Array,
  velocity: Int32Array,
  { numerator, denominator }: Fraction,
): Int32Array {
  if (velocity.length !== P.length) throw lengths(velocity.length, P.length);
  return P.map((value, i) => stepBy(value, velocity[i] ?? 0, numerator, denominator, i));
}

function stepBy(value: number, v: number, a: number, b: number, index: number): number {
  return inRange(value + addQuotient(0, v * a, b), index, 'parameter');
}

/**
 * roundHalfEven(S*a / (W*b)), although S*a may exceed 2^53: S = k*W + r and k*a = m*b + n, so that
 * S*a / (W*b) = m + (n*W + r*a) / (W*b). With |S| ≤ W*2^31, W ≤ 2^22 and a, b ≤ 2^20 every product is below
 * 2^53: k*W = S - r, k*a ≤ 2^51, n*W + r*a and W*b ≤ 2^43. The identity holds for any integers k and m, so it
 * does not matter that the quotients they are the floors of were rounded.
 */
function scaledMean(S: number, W: number, a: number, b: number): number {
  if (a === b) return addQuotient(0, S, W);
  const k = Math.floor(S / W);
  const r = S - k * W;
  const m = Math.floor((k * a) / b);
  const n = k * a - m * b;
  return addQuotient(m, n * W + r * a, W * b);
}

/**
 * roundHalfEven(base + x / d) for integers |x| ≤ 2^53, d ≥ 1, |x / d| ≤ 2^51: divide, then correct by the
 * remainder. A tie goes to the even sum, which is why the base is here.
 */
export function addQuotient(base: number, x: number, d: number): number {
  const quotient = roundHalfEven(x / d);
  const rounded = base + quotient;
  const twice = 2 * (x - quotient * d);
  if (twice > d || (twice === d && rounded % 2 !== 0)) return rounded + 1;
  if (twice < -d || (twice === -d && rounded % 2 !== 0)) return rounded - 1;
  return rounded;
}

function inRange(value: number, index: number, what: string): number {
  if (value >= -INT32_LIMIT && value <= INT32_LIMIT) return value;
  throw new RoundtableError(
    'STEP_OUT_OF_RANGE',
    `The step would bring ${what} ${index} to ${value}, beyond ±(2^31 - 1). Lower the server rate or the learning rate.`,
    { details: { index } },
  );
}

function checkedSum(sum: number, W: number, index: number): number {
  if (Math.abs(sum) <= W * INT32_LIMIT) return sum;
  throw new RoundtableError(
    'INVALID_INPUT',
    `Sum ${index} is ${sum}, which no updates of weight ${W} have.`,
    {
      details: { index },
    },
  );
}

function checkInputs(P: Int32Array, S: Float64Array, W: number): void {
  if (S.length !== P.length) throw lengths(S.length, P.length);
  if (!Number.isInteger(W) || W < 1 || W > MAX_TOTAL_WEIGHT)
    throw new RoundtableError('INVALID_INPUT', `The weights of a round sum to 1 … 2^22, not ${W}.`);
}

function checkFraction({ numerator, denominator }: Fraction, what: string): void {
  const valid =
    Number.isInteger(numerator) &&
    Number.isInteger(denominator) &&
    numerator >= 0 &&
    denominator >= 1 &&
    Math.max(numerator, denominator) <= MAX_FRACTION_TERM;
  if (!valid)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A ${what} is a fraction of integers up to 2^20, not ${numerator}/${denominator}.`,
    );
}

function lengths(given: number, expected: number): RoundtableError {
  return new RoundtableError(
    'INVALID_INPUT',
    `A vector of ${given} values was given where ${expected} belong.`,
  );
}
