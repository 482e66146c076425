import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { accumulate, ExactSum, sumBlock } from '#core/sum.js';
import { sumKernel, VALUES_PER_BLOCK } from '#core/sumKernel.js';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** Pseudo-random int32 values that use all their bits. */
function update(dimension: number, seed: number): Int32Array {
  return Int32Array.from({ length: dimension }, (_, i) => Math.imul((i + 1) * 31 + seed, 0x9e3779b1));
}

function exactSums(updates: readonly Int32Array[], weights: readonly number[]): bigint[] {
  return Array.from(updates[0] ?? [], (_, i) =>
    updates.reduce((sum, values, j) => sum + BigInt(values[i] ?? 0) * BigInt(weights[j] ?? 0), 0n),
  );
}

describe('ExactSum', () => {
  test('is the integer sum, in any order and grouping', () => {
    const round = fc
      .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9 }))
      .chain(([dimension, runners]) =>
        fc.record({
          updates: fc.array(fc.array(int32, { minLength: dimension, maxLength: dimension }), {
            minLength: runners,
            maxLength: runners,
          }),
          weights: fc.array(fc.integer({ min: 1, max: Math.floor(2 ** 22 / runners) }), {
            minLength: runners,
            maxLength: runners,
          }),
        }),
      );
    fc.assert(
      fc.property(round, ({ updates: lists, weights }) => {
        const updates = lists.map((list) => Int32Array.from(list));
        const expected = exactSums(updates, weights);
        const together = new ExactSum(expected.length);
        together.addAll(updates, weights);
        const reversed = new ExactSum(expected.length);
        for (let j = updates.length - 1; j >= 0; j--)
          reversed.add(updates[j] ?? new Int32Array(), weights[j] ?? 0);
        expect(Array.from(together.values, BigInt)).toEqual(expected);
        expect(Array.from(reversed.values, BigInt)).toEqual(expected);
        expect([together.weight, together.count]).toEqual([weights.reduce((a, b) => a + b), weights.length]);
      }),
    );
  });

  test('is exact where its magnitude is the largest possible', () => {
    const lowest = new Int32Array(10_000).fill(-(2 ** 31) + 1);
    const sum = new ExactSum(lowest.length);
    sum.addAll(
      [lowest, lowest, lowest, lowest],
      Array.from({ length: 4 }, () => 2 ** 20),
    );
    expect(new Set(sum.values)).toEqual(new Set([-(2 ** 53) + 2 ** 22]));
  });

  test('vectors longer than a block, and a last block that is not full, are added by the kernel as by the loop', () => {
    expect(sumKernel()).not.toBeNull();
    const dimension = 2 * VALUES_PER_BLOCK + 777;
    const updates = Array.from({ length: 7 }, (_, j) => update(dimension, j));
    const weights = [1, 600_000, 3, 2, 1_000_000, 5, 6];
    const fast = new Float64Array(dimension).fill(5);
    const plain = fast.slice();
    sumBlock(fast, updates, weights);
    updates.forEach((values, j) => accumulate(plain, values, weights[j] ?? 0));
    expect(fast).toEqual(plain);
    for (const i of [0, VALUES_PER_BLOCK, dimension - 1])
      expect(BigInt(fast[i] ?? 0) - 5n).toBe(
        exactSums(
          updates.map((values) => values.subarray(i, i + 1)),
          weights,
        )[0],
      );
  });

  test('adds the sums of other nodes', () => {
    const dimension = 100;
    const all = new ExactSum(dimension);
    const top = new ExactSum(dimension);
    for (const first of [0, 3]) {
      const node = new ExactSum(dimension);
      for (let j = first; j < first + 3; j++) {
        node.add(update(dimension, j), j + 1);
        all.add(update(dimension, j), j + 1);
      }
      top.addSum(node);
    }
    expect(top).toEqual(all);
  });

  test('weights beyond 2^22 altogether are refused, and nothing has changed', () => {
    const sum = new ExactSum(1);
    sum.add(Int32Array.of(7), 2 ** 22 - 1);
    expect(() => sum.add(Int32Array.of(1), 2)).toThrow('The weights sum to 4194305, more than 2^22');
    expect([sum.values[0], sum.weight, sum.count]).toEqual([7 * (2 ** 22 - 1), 2 ** 22 - 1, 1]);
  });

  test.each([0, -1, 0.5, NaN, 2 ** 22 + 1])('the weight %d is refused', (weight) => {
    expect(() => new ExactSum(1).add(Int32Array.of(1), weight)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('another dimension, or a missing weight, is refused', () => {
    expect(() => new ExactSum(2).add(new Int32Array(3), 1)).toThrow(
      'An update of 3 values was given to a sum of 2',
    );
    expect(() => new ExactSum(2).addAll([new Int32Array(2)], [])).toThrow('1 updates came with 0 weights');
    expect(() => new ExactSum(2).addSum(new ExactSum(3))).toThrow(
      'An update of 3 values was given to a sum of 2',
    );
  });
});

test('accumulate adds only the range it is given', () => {
  const sum = new Float64Array(5);
  accumulate(sum, Int32Array.of(1, 2, 3, 4, 5), 10, 1, 3);
  expect([...sum]).toEqual([0, 20, 30, 0, 0]);
});
