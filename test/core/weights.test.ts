import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { MAX_TOTAL_WEIGHT, weightOf, weightShift } from '#core/weights.js';

const samples = fc.array(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 60 });
const total = (declared: readonly bigint[], shift: number) =>
  declared.reduce((sum, count) => sum + (count >> BigInt(shift) || 1n), 0n);

describe('weightShift', () => {
  test('is the smallest shift for which all weights sum to at most 2^22', () => {
    fc.assert(
      fc.property(samples, (declared) => {
        const shift = weightShift(declared);
        expect(total(declared, shift)).toBeLessThanOrEqual(2n ** 22n);
        if (shift > 0) expect(total(declared, shift - 1)).toBeGreaterThan(2n ** 22n);
      }),
    );
  });

  test('is zero as long as samples are their own weights', () => {
    expect(weightShift([2_000, 2_000, 2_000, 2_000])).toBe(0);
    expect(weightShift([2 ** 22])).toBe(0);
    expect(weightShift([2 ** 22, 1])).toBe(1);
    expect(weightShift([2n ** 64n - 1n])).toBe(42);
  });

  test('refuses more than 2^22 runners, and none', () => {
    expect(() => weightShift(Array.from({ length: MAX_TOTAL_WEIGHT + 1 }, () => 1))).toThrow(
      'A round has 1 to 2^22 runners',
    );
    expect(() => weightShift([])).toThrow('A round has 1 to 2^22 runners');
  });
});

describe('weightOf', () => {
  test('a runner that signs no more than it declared weighs no more than planned', () => {
    fc.assert(
      fc.property(samples, fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (declared, signed) => {
        const shift = weightShift(declared);
        const weights = declared.map((count) => weightOf(count < signed ? count : signed, shift));
        expect(weights.every((weight) => weight >= 1)).toBe(true);
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeLessThanOrEqual(MAX_TOTAL_WEIGHT);
      }),
    );
  });

  test('is never zero', () => {
    expect([weightOf(1, 0), weightOf(1, 63), weightOf(1_000, 3), weightOf(7n, 3)]).toEqual([1, 1, 125, 1]);
  });

  test.each([
    [0, 0],
    [-1, 0],
    [1.5, 0],
    [2n ** 64n, 0],
    [1, -1],
    [1, 64],
    [2 ** 22 + 1, 0],
  ])('%s samples with a shift of %d are refused', (count, shift) => {
    expect(() => weightOf(count, shift)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});
