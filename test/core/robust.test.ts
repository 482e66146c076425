import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { aggregationTree } from '#core/commitment.js';
import { INT32_LIMIT } from '#core/fixedPoint.js';
import { disputability, keptOf, MOST_ROBUST, nonsense } from '#core/robust.js';
import { aggregationName } from '#core/robustNames.js';
import { robustMean } from '#core/robustMean.js';
import type { RobustRule } from '#core/robustRule.js';
import { roundTree } from '#core/robustTree.js';
import { plainRows, sortingNetwork, takeRows } from '#core/sortKernel.js';
import { fedAvg } from '#core/step.js';
import { seeded } from '../support/seeded.js';

const median: RobustRule = { rule: 'median' };
const trimmed = (percent: number): RobustRule => ({ rule: 'trimmed-mean', percent });
const anyRule = fc.oneof(fc.constant(median), fc.integer({ min: 1, max: 49 }).map(trimmed));
const value = fc.oneof(
  fc.integer({ min: -INT32_LIMIT, max: INT32_LIMIT }),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(-INT32_LIMIT, INT32_LIMIT),
);
const column = fc.array(value, { minLength: 1, maxLength: 40 });

/** From the definition, in bigint: sort, cut, divide, a tie to the even one. */
function meanOf(rule: RobustRule, values: readonly number[]): number {
  const kept = values.toSorted((a, b) => a - b).slice(...keptOf(rule, values.length));
  const sum = kept.reduce((total, each) => total + BigInt(each), 0n);
  const count = BigInt(kept.length);
  const below = (sum - (((sum % count) + count) % count)) / count;
  const twice = 2n * (sum - below * count);
  return Number(twice > count || (twice === count && below % 2n !== 0n) ? below + 1n : below);
}

const random = (dimension: number, seed: number): Int32Array => {
  const next = seeded(seed);
  return Int32Array.from({ length: dimension }, () => Math.floor((next() - 0.5) * (2 ** 32 - 2)));
};

describe('median and trimmed mean', () => {
  test('are what sorting every value says, for any values and any number of updates', () => {
    fc.assert(
      fc.property(anyRule, column, (rule, values) => {
        const updates = values.map((each) => Int32Array.of(each, -each));
        expect([...robustMean(rule, updates)]).toEqual([
          meanOf(rule, values),
          meanOf(
            rule,
            values.map((each) => -each),
          ),
        ]);
      }),
      { numRuns: 500 },
    );
  });

  test.each([1, 2, 3, 15, 16, 17, 64, 300])(
    'of %d updates of more than one block are right at every position, in any order',
    (count) => {
      const dimension = 2_500;
      const updates = Array.from({ length: count }, (_, i) => random(dimension, i + 1));
      for (const rule of [median, trimmed(10)]) {
        const mean = robustMean(rule, updates);
        for (let at = 0; at < dimension; at += 97)
          expect(mean[at]).toBe(
            meanOf(
              rule,
              updates.map((update) => update[at] ?? 0),
            ),
          );
        expect(robustMean(rule, updates.toReversed())).toEqual(mean);
      }
    },
  );

  test('keep the lower of two in the middle, and as many as the percentage leaves', () => {
    expect([1, 2, 3, 15, 16].map((count) => keptOf(median, count)[0])).toEqual([0, 0, 1, 7, 7]);
    expect([1, 2, 9, 10, 16].map((count) => keptOf(trimmed(10), count))).toEqual([
      [0, 1],
      [0, 2],
      [0, 9],
      [1, 9],
      [1, 15],
    ]);
    // Of any number something is left.
    for (let count = 1; count <= MOST_ROBUST; count++) {
      const [from, to] = keptOf(trimmed(49), count);
      expect(to).toBeGreaterThan(from);
    }
  });

  test('are not moved beyond the honest by fewer than half, or fewer than are cut', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 7, maxLength: 7 }),
        fc.array(value, { maxLength: 3 }),
        (honest, wild) => {
          const updates = [...honest, ...wild].map((each) => Int32Array.of(each));
          for (const rule of [median, trimmed(30)]) {
            const cut = keptOf(rule, updates.length)[0];
            const [mean = NaN] = robustMean(rule, updates);
            if (wild.length > cut) continue;
            expect(mean).toBeGreaterThanOrEqual(Math.min(...honest));
            expect(mean).toBeLessThanOrEqual(Math.max(...honest));
          }
        },
      ),
    );
  });

  test('refuse no updates, too many, and updates of different lengths', () => {
    expect(() => robustMean(median, [])).toThrow(/1 to 1024 updates, not 0/);
    const one = Int32Array.of(1);
    const tooMany = Array.from({ length: MOST_ROBUST + 1 }, () => one);
    expect(() => robustMean(median, tooMany)).toThrow(/not 1025/);
    expect(() => robustMean(median, [one, Int32Array.of(1, 2)])).toThrow(/2 values .* others have 1/);
  });
});

describe('the sorting network', () => {
  test.each([1, 2, 3, 7, 16, 33])('of %d rows sorts every input of zeros and ones that is tried', (count) => {
    // Knuth's 0-1 principle: what sorts all of these sorts everything; above 16 rows a sample of them.
    const inputs = count <= 16 ? 2 ** count : 4_096;
    const next = seeded(count);
    const bits = Array.from({ length: inputs }, (_, i) => (count <= 16 ? i : Math.floor(next() * 2 ** 32)));
    const { rows, exchange } = plainRows(
      Array.from({ length: count }, (_, row) => Int32Array.from(bits, (input) => (input >>> (row % 32)) & 1)),
    );
    for (const [low, high] of sortingNetwork(count, [0, count])) exchange(low, high);
    for (let row = 1; row < count; row++)
      expect(rows[row]?.every((bit, i) => bit >= (rows[row - 1]?.[i] ?? 0))).toBe(true);
  });

  test('does with WebAssembly what it does without', () => {
    const block = takeRows(5);
    const columns = block.rows[0]?.length ?? 0;
    const rows = Array.from({ length: 5 }, (_, i) => random(columns, i + 1));
    rows.forEach((row, i) => block.rows[i]?.set(row));
    const plain = plainRows(rows);
    for (const [low, high] of sortingNetwork(5, [2, 3])) {
      block.exchange(low, high);
      plain.exchange(low, high);
    }
    expect(block.rows.map((row) => [...row])).toEqual(rows.map((row) => [...row]));
  });
});

describe('the tree of a robust round', () => {
  test.each([1, 16, 17, 40])(
    'of %d runners has the rule over all below every node, times their weight',
    async (count) => {
      const updates = Array.from({ length: count }, (_, i) => random(3, i + 1));
      const weights = updates.map((_, i) => i + 1);
      const seen: [number, number][] = [];
      const { levels } = aggregationTree(count);
      const top = await roundTree(median, {
        dimension: 3,
        weights,
        read: (index) => Promise.resolve(updates[index] ?? new Int32Array()),
        onNode(level, index, { values, weight }) {
          seen.push([level, index]);
          const [from, to] = levels[level]?.[index]?.runners ?? [0, 0];
          expect(weight).toBe(weights.slice(from, to).reduce((a, b) => a + b, 0));
          const mean = robustMean(median, updates.slice(from, to));
          expect([...values]).toEqual(Array.from(mean, (each) => each * weight));
        },
      });
      expect(seen).toEqual(levels.flatMap((nodes, level) => nodes.map((_, index) => [level, index])));
      expect([top.weight, top.count]).toEqual([(count * (count + 1)) / 2, count]);
      // The step divides by the weight again, so what it takes is the mean itself.
      const zero = new Int32Array(3);
      expect(fedAvg(zero, top.values, top.weight, { numerator: 1, denominator: 1 })).toEqual(
        robustMean(median, updates),
      );
    },
  );
});

test('a rule says whether a wrong result can be disputed', () => {
  expect(disputability(median, 16)).toMatch(/^A wrong median can be disputed on chain/);
  expect(disputability(trimmed(20), 17)).toMatch(
    /^A 20% trimmed mean of more than 16 runners is attested only, not disputable .* up to 17/,
  );
  expect(aggregationName({ rule: 'fedavgm', robust: trimmed(20) })).toBe('FedAvgM of the 20% trimmed mean');
  expect(aggregationName({ rule: 'fedavg' })).toBe('FedAvg');
});

test('a rule that protects nobody is named, with what to write', () => {
  expect(nonsense(trimmed(20), 5, 16)).toBeNull();
  expect(nonsense(trimmed(10), 3, 16)).toMatch(
    /10 percent of 3 runners .* is nobody: write a percent of at least 34/,
  );
  expect(nonsense(trimmed(10), 1, 16)).toMatch(/is nobody: write a quorum of at least 10/);
  expect(nonsense(median, 2, 16)).toMatch(/the median of 2 protects nobody/);
  expect(nonsense(median, null, 1_025)).toMatch(/at most 1024 updates/);
});
