import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { toHex } from '#core/hex.js';
import { LEAF, leafCount, valuesRoot } from '#core/merkle.js';
import { subtreeRoots, TreeOutline } from '#core/merkleRange.js';
import { shardRanges, shardsFor, valuesOf } from '#core/shards.js';
import { decodeSumPart, encodeSumPart } from '#core/sumPart.js';
import { sumTree } from '#core/sumTree.js';
import { sha256 } from '#services/sha256.js';

/** Up to 40 updates, so that the aggregation tree has one level or two. */
const round = fc
  .record({ dimension: fc.integer({ min: 1_100, max: 3_000 }), runners: fc.integer({ min: 1, max: 40 }) })
  .chain(({ dimension, runners }) =>
    fc.record({
      updates: fc.array(fc.int32Array({ minLength: dimension, maxLength: dimension, min: -(2 ** 31) + 1 }), {
        minLength: runners,
        maxLength: runners,
      }),
      weights: fc.array(fc.integer({ min: 1, max: 2 ** 16 }), { minLength: runners, maxLength: runners }),
      order: fc.infiniteStream(fc.nat()),
    }),
  );

async function wholeSum(updates: readonly Int32Array[], weights: readonly number[]) {
  const roots: string[][] = [];
  const sum = await sumTree({
    dimension: updates[0]?.length ?? 0,
    weights,
    read: async (index) => updates[index] ?? new Int32Array(),
    onNode: (level, index, { values }) =>
      void ((roots[level] ??= [])[index] = toHex(valuesRoot(sha256, LEAF.sum, values))),
  });
  return { values: sum.values, roots };
}

/** Each range by itself, in that order, then joined; as functions/sum and its worker do. */
async function sumInShards(
  updates: readonly Int32Array[],
  weights: readonly number[],
  shards: number,
  order: Iterator<number>,
) {
  const dimension = updates[0]?.length ?? 0;
  const values = new Float64Array(dimension);
  const trees: TreeOutline[][] = [];
  const ranges = shardRanges(dimension, shards)
    .map((range) => ({ range, at: Number(order.next().value) }))
    .sort((a, b) => a.at - b.at);
  for (const { range } of ranges) {
    const [from, to] = valuesOf(dimension, range);
    const shape = { dimension, range, updates: updates.length };
    const roots: Uint8Array[][][] = [];
    const sum = await sumTree({
      dimension: to - from,
      weights,
      read: async (index) => (updates[index] ?? new Int32Array()).subarray(from, to),
      onNode: (level, index, node) =>
        void ((roots[level] ??= [])[index] = subtreeRoots(sha256, LEAF.sum, node.values, range)),
    });
    const part = decodeSumPart(shape, encodeSumPart(shape, { values: sum.values, roots }));
    values.set(part.values, from);
    part.roots.forEach((level, height) =>
      level.forEach((node, index) =>
        ((trees[height] ??= [])[index] ??= new TreeOutline(sha256, leafCount(dimension))).add(range, node),
      ),
    );
  }
  return { values, roots: trees.map((level) => level.map((tree) => toHex(tree.root))) };
}

describe.each([1, 3, 16])('the sum in %d shards', (shards) => {
  test('has the values and the roots of the sum in one process, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(round, async ({ updates, weights, order }) => {
        const whole = await wholeSum(updates, weights);
        const cut = await sumInShards(updates, weights, shards, order[Symbol.iterator]());
        expect(cut.roots).toEqual(whole.roots);
        expect(cut.values).toEqual(whole.values);
      }),
      { numRuns: 25 },
    );
  });
});

test('a part of another length is refused', () => {
  const shape = { dimension: 640, range: { from: 0, to: 5 }, updates: 1 };
  expect(() => decodeSumPart(shape, new Uint8Array(10))).toThrow(/FORMAT_INVALID|bytes/);
  expect(() => encodeSumPart(shape, { values: new Float64Array(3), roots: [] })).toThrow(/3 sums/);
});

test('the worker adds by itself what it can hold', () => {
  const rules = { most: 1_000, each: 300 };
  expect([1, 1_000, 1_001, 3_000].map((dimension) => shardsFor(dimension, rules))).toEqual([1, 1, 4, 10]);
  expect(shardsFor(1_001, { most: 1_000, each: 10_000 })).toBe(2);
});
