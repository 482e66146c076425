import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  dequantise,
  encodeDelta,
  INT32_LIMIT,
  quantise,
  roundHalfEven,
  stepExponent,
} from '#core/fixedPoint.js';

const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const exponent = fc.integer({ min: -26, max: 102 });
const int32 = fc.integer({ min: -INT32_LIMIT, max: INT32_LIMIT });

describe('stepExponent', () => {
  test('is the exponent of the least power of two that holds the magnitude, minus 26', () => {
    fc.assert(
      fc.property(fc.float({ min: 1, max: Math.fround(3e38), noNaN: true, minExcluded: true }), (maxAbs) => {
        const ceiling = stepExponent(maxAbs) + 26;
        expect(2 ** ceiling).toBeGreaterThanOrEqual(maxAbs);
        expect(2 ** (ceiling - 1)).toBeLessThan(maxAbs);
      }),
    );
  });

  test('is exact at and beside every power of two of float32', () => {
    for (let power = 0; power <= 127; power++) {
      expect(stepExponent(2 ** power)).toBe(power - 26);
      const above = new Float32Array(new Int32Array([((power + 127) << 23) | 1]).buffer)[0] ?? 0;
      expect(above).toBeGreaterThan(2 ** power);
      expect(stepExponent(above)).toBe(power - 25);
      expect(stepExponent(2 ** power * (1 + 2 ** -52))).toBe(power - 25);
    }
  });

  test('is -26 up to 1, for zero and for denormals', () => {
    for (const maxAbs of [0, 1, 0.5, 2 ** -149, Number.MIN_VALUE]) expect(stepExponent(maxAbs)).toBe(-26);
  });

  test.each([NaN, Infinity, -1])('%d is refused', (maxAbs) => {
    expect(() => stepExponent(maxAbs)).toThrow(expect.objectContaining({ code: 'UPDATE_NOT_FINITE' }));
  });
});

test('roundHalfEven takes ties to the even neighbour', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2 ** 31 - 0.5].map((x) => roundHalfEven(x) + 0)).toEqual([
    0,
    2,
    2,
    0,
    -2,
    -2,
    2 ** 31,
  ]);
  fc.assert(
    fc.property(fc.double({ min: -(2 ** 51), max: 2 ** 51, noNaN: true }), (x) => {
      const rounded = roundHalfEven(x);
      expect(Number.isInteger(rounded)).toBe(true);
      expect(Math.abs(rounded - x)).toBeLessThanOrEqual(0.5);
      if (Math.abs(rounded - x) === 0.5) expect(Math.abs(rounded % 2)).toBe(0);
    }),
  );
});

describe('quantise', () => {
  test('a tensor on its own grid is within half a step, and what is on the grid comes back', () => {
    fc.assert(
      fc.property(fc.array(float, { minLength: 1 }), (list) => {
        const values = Float32Array.from(list);
        const grid = stepExponent(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
        const params = new Int32Array(values.length);
        quantise(values, grid, params);
        expect(Math.max(...params.map(Math.abs))).toBeLessThanOrEqual(2 ** 26);
        params.forEach((param, i) =>
          expect(Math.abs(param - (values[i] ?? 0) / 2 ** grid)).toBeLessThanOrEqual(0.5),
        );

        const floats = new Float32Array(values.length);
        dequantise(params, grid, floats);
        const again = new Int32Array(values.length);
        quantise(floats, grid, again);
        // float32 holds 24 bits: only parameters beyond that lose their last ones.
        again.forEach((param, i) => {
          if (Math.abs(params[i] ?? 0) <= 2 ** 24) expect(param).toBe(params[i]);
        });
      }),
    );
  });

  test.each([NaN, Infinity, -Infinity])('%d is refused with its index', (value) => {
    expect(() => quantise(Float32Array.of(0, 1, value), -26, new Int32Array(3))).toThrow(
      expect.objectContaining({ code: 'UPDATE_NOT_FINITE', details: { index: 2 } }),
    );
  });

  test('a value beyond 32 bits on its grid is refused', () => {
    expect(() => quantise(Float32Array.of(64), -26, new Int32Array(1))).toThrow(
      expect.objectContaining({ code: 'STEP_OUT_OF_RANGE' }),
    );
  });
});

describe('encodeDelta', () => {
  test('is the rounded difference in steps, saturated at ±(2^31 - 1) and counted', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(float, int32), { minLength: 1 }), exponent, (pairs, grid) => {
        const step = 2 ** grid;
        const local = Float32Array.from(pairs, ([value]) => value);
        const params = Int32Array.from(pairs, ([, param]) => param);
        fc.pre(params.every((param) => Number.isFinite(Math.fround(param * step))));
        const out = new Int32Array(pairs.length);
        const saturated = encodeDelta(local, params, grid, out);
        let expected = 0;
        out.forEach((q, i) => {
          const exact = ((local[i] ?? 0) - Math.fround((params[i] ?? 0) * step)) / step;
          if (Math.abs(exact) >= INT32_LIMIT + 0.5) {
            expect(q).toBe(Math.sign(exact) * INT32_LIMIT);
            expected++;
          } else {
            const nearest = Math.floor(exact);
            const tie = exact - nearest === 0.5;
            const rounded = tie ? nearest + Math.abs(nearest % 2) : Math.round(exact);
            expect(q).toBe(rounded + 0);
          }
        });
        expect(saturated).toBe(expected);
      }),
    );
  });

  test('is zero where nothing was learned, whatever float32 could not hold', () => {
    fc.assert(
      fc.property(fc.array(int32, { minLength: 1 }), fc.integer({ min: -26, max: 90 }), (list, grid) => {
        const params = Int32Array.from(list);
        const floats = new Float32Array(list.length);
        dequantise(params, grid, floats);
        const out = new Int32Array(list.length).fill(1);
        expect(encodeDelta(floats, params, grid, out)).toBe(0);
        expect(out.every((q) => q === 0)).toBe(true);
      }),
    );
  });

  test('the last value that fits is not saturated, the first that does not is', () => {
    const out = new Int32Array(4);
    const local = Float32Array.of(32, -32, 31.999998092651367, -31.999998092651367);
    expect(encodeDelta(local, new Int32Array(4), -26, out)).toBe(2);
    expect([...out]).toEqual([INT32_LIMIT, -INT32_LIMIT, 2 ** 31 - 128, -(2 ** 31 - 128)]);
    expect(encodeDelta(Float32Array.of(2 ** 31), Int32Array.of(1), 0, out.subarray(0, 1))).toBe(0);
    expect(out[0]).toBe(INT32_LIMIT);
  });

  test.each([NaN, Infinity, -Infinity])('%d is refused with its index', (value) => {
    expect(() => encodeDelta(Float32Array.of(1, value), new Int32Array(2), -26, new Int32Array(2))).toThrow(
      expect.objectContaining({ code: 'UPDATE_NOT_FINITE', details: { index: 1 } }),
    );
  });

  test('vectors of different lengths are refused', () => {
    expect(() => encodeDelta(new Float32Array(2), new Int32Array(3), -26, new Int32Array(2))).toThrow(
      'Vectors of 2 and 3 values were given',
    );
  });
});
