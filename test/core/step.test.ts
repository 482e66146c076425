import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { fedAvg, fedAvgM, type Fraction } from '#core/step.js';

const LIMIT = 2n ** 31n - 1n;
const W = fc.oneof(fc.integer({ min: 1, max: 2 ** 22 }), fc.constantFrom(1, 2, 3, 2 ** 22 - 1, 2 ** 22));
const term = fc.oneof(fc.integer({ min: 1, max: 2 ** 20 }), fc.constantFrom(1, 2, 3, 2 ** 20 - 1, 2 ** 20));
const rate: fc.Arbitrary<Fraction> = fc.record({
  numerator: fc.oneof(term, fc.constant(0)),
  denominator: term,
});
const int32 = fc.oneof(
  fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
  fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31) + 1),
);

/** Any sum that updates of weight W can have, ties of S/W among them. */
const sumOf = (weight: number) =>
  fc.oneof(
    fc.maxSafeInteger().map((seed) => Number(BigInt(seed) % (BigInt(weight) * LIMIT + 1n))),
    int32.map((mean) => mean * weight),
    int32.map((mean) => Math.sign(mean) * (Math.abs(mean) - 1) * weight + Math.trunc(weight / 2)),
  );

/** round(n / d), ties to even, in the integers. */
function divide(n: bigint, d: bigint): bigint {
  const floor = n / d - (n % d < 0n ? 1n : 0n);
  const twice = 2n * (n - floor * d);
  return twice > d || (twice === d && floor % 2n !== 0n) ? floor + 1n : floor;
}

const fits = (value: bigint) => value >= -LIMIT && value <= LIMIT;

describe('fedAvg', () => {
  test('is P + round(S*a / (W*b)), ties to even, over the whole range', () => {
    const cases = W.chain((weight) => fc.tuple(fc.constant(weight), sumOf(weight), int32, rate));
    fc.assert(
      fc.property(cases, ([weight, S, P, { numerator, denominator }]) => {
        const expected =
          BigInt(P) + divide(BigInt(S) * BigInt(numerator), BigInt(weight) * BigInt(denominator));
        const step = () =>
          fedAvg(Int32Array.of(P), Float64Array.of(S), weight, { numerator, denominator })[0];
        if (fits(expected)) expect(step()).toBe(Number(expected));
        else
          expect(step).toThrow(expect.objectContaining({ code: 'STEP_OUT_OF_RANGE', details: { index: 0 } }));
      }),
      { numRuns: 4_000 },
    );
  });

  test('is exact at ties of large quotients, where a rounded division alone is not', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 29), max: 2 ** 29 }), term, term, (q, a, b) => {
        // S*a/(W*b) = q + 1/2 with W = 2a and S = b*(2q + 1): choose what fits.
        const weight = 2 * a;
        const S = b * (2 * q + 1);
        fc.pre(Math.abs(S) <= weight * Number(LIMIT));
        const [next] = fedAvg(Int32Array.of(0), Float64Array.of(S), weight, { numerator: a, denominator: b });
        expect(next).toBe(Number(divide(BigInt(2 * q + 1), 2n)) + 0);
        expect(Math.abs((next ?? 1) % 2)).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  test('a rate of one and equal updates give the update itself', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 30), max: 2 ** 30 }), W, (q, weight) => {
        const next = fedAvg(Int32Array.of(11), Float64Array.of(q * weight), weight, {
          numerator: 1,
          denominator: 1,
        });
        expect(next[0]).toBe(11 + q);
      }),
    );
  });

  test('a sum that no updates of that weight have is refused', () => {
    const over = Float64Array.of(0, 3 * Number(LIMIT) + 1);
    expect(() => fedAvg(new Int32Array(2), over, 3, { numerator: 1, denominator: 1 })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', details: { index: 1 } }),
    );
    expect(() =>
      fedAvg(new Int32Array(1), Float64Array.of(NaN), 3, { numerator: 1, denominator: 1 }),
    ).toThrow('Sum 0 is NaN');
  });

  test.each([
    [{ numerator: 1, denominator: 0 }, 1],
    [{ numerator: -1, denominator: 1 }, 1],
    [{ numerator: 0.5, denominator: 1 }, 1],
    [{ numerator: 2 ** 20 + 1, denominator: 1 }, 1],
    [{ numerator: 1, denominator: 2 ** 20 + 1 }, 1],
    [{ numerator: 1, denominator: 1 }, 0],
    [{ numerator: 1, denominator: 1 }, 2 ** 22 + 1],
  ])('the rate %j with the weight %d is refused', (fraction, weight) => {
    expect(() => fedAvg(new Int32Array(1), new Float64Array(1), weight, fraction)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('vectors of different lengths are refused', () => {
    expect(() => fedAvg(new Int32Array(2), new Float64Array(3), 1, { numerator: 1, denominator: 1 })).toThrow(
      'A vector of 3 values was given where 2 belong',
    );
  });
});

describe('fedAvgM', () => {
  test("is v' = round(v*m) + round(S/W), P' = P + round(v'*a/b), over the whole range", () => {
    const cases = W.chain((weight) => fc.tuple(fc.constant(weight), sumOf(weight), int32, int32, rate, rate));
    fc.assert(
      fc.property(cases, ([weight, S, P, v, server, momentum]) => {
        const velocity =
          divide(BigInt(v) * BigInt(momentum.numerator), BigInt(momentum.denominator)) +
          divide(BigInt(S), BigInt(weight));
        const params = BigInt(P) + divide(velocity * BigInt(server.numerator), BigInt(server.denominator));
        const step = () =>
          fedAvgM(Int32Array.of(P), Int32Array.of(v), Float64Array.of(S), weight, server, momentum);
        if (fits(velocity) && fits(params))
          expect(step()).toEqual({
            params: Int32Array.of(Number(params)),
            velocity: Int32Array.of(Number(velocity)),
          });
        else expect(step).toThrow(expect.objectContaining({ code: 'STEP_OUT_OF_RANGE' }));
      }),
      { numRuns: 4_000 },
    );
  });

  test('without momentum it is fedAvg at the rate one', () => {
    const P = Int32Array.of(5, -7, 0);
    const S = Float64Array.of(10, -15, 5);
    const one = { numerator: 1, denominator: 1 };
    const { params, velocity } = fedAvgM(P, new Int32Array(3), S, 10, one, { numerator: 0, denominator: 1 });
    expect(params).toEqual(fedAvg(P, S, 10, one));
    expect([...velocity]).toEqual([1, -2, 0]);
  });
});
