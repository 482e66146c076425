import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { LEAF, leafCount, treeDepth, valuesRoot } from '#core/merkle.js';
import {
  provenRangeRoot,
  subtreeRoots,
  subtreesOf,
  TreeOutline,
  verifyRange,
  type LeafRange,
} from '#core/merkleRange.js';
import { shardRanges, valuesOf } from '#core/shards.js';
import { sha256 } from '#services/sha256.js';

const vector = fc.int32Array({ minLength: 1, maxLength: 3_000 });
const cuts = fc
  .record({ values: vector, shards: fc.constantFrom(1, 2, 3, 7, 16) })
  .map(({ values, shards }) => ({
    values,
    ranges: shardRanges(values.length, Math.min(shards, leafCount(values.length))),
  }));

const rootsOf = (values: Int32Array, range: LeafRange) =>
  subtreeRoots(sha256, LEAF.update, values.subarray(...valuesOf(values.length, range)), range);

function outlineOf(values: Int32Array, ranges: readonly LeafRange[]): TreeOutline {
  const tree = new TreeOutline(sha256, leafCount(values.length));
  for (const range of ranges) tree.add(range, rootsOf(values, range));
  return tree;
}

describe('the ranges of a vector', () => {
  test('follow one another, are all of it and of about the same size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 31 }),
        fc.integer({ min: 1, max: 600 }),
        (dimension, wanted) => {
          const leaves = leafCount(dimension);
          const shards = Math.min(wanted, leaves);
          const ranges = shardRanges(dimension, shards);
          expect(ranges).toHaveLength(shards);
          expect(ranges[0]?.from).toBe(0);
          expect(ranges.at(-1)?.to).toBe(leaves);
          ranges.forEach(({ from, to }, i) => {
            expect(from).toBe(i === 0 ? 0 : ranges[i - 1]?.to);
            expect(to).toBeGreaterThan(from);
            expect(to - from).toBeLessThanOrEqual(Math.ceil((1.25 * leaves) / shards) + 1);
            expect(subtreesOf({ from, to }).length).toBeLessThanOrEqual(2 * treeDepth(leaves) + 1);
          });
        },
      ),
    );
  });

  test('cannot be more than its leaves', () => {
    expect(() => shardRanges(64, 2)).toThrow(/cut into 2/);
    expect(() => shardRanges(64, 0)).toThrow(/cut into 0/);
  });
});

describe('a tree in pieces', () => {
  test('has the root of the whole, whatever the pieces and their order', () => {
    fc.assert(
      fc.property(
        cuts,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        ({ values, ranges }, random) => {
          const order = ranges.map((range) => ({ range, at: Number(random.next().value) }));
          const shuffled = order.sort((a, b) => a.at - b.at).map(({ range }) => range);
          expect(outlineOf(values, shuffled).root).toEqual(valuesRoot(sha256, LEAF.update, values));
        },
      ),
    );
  });

  test('proves each of its ranges', () => {
    fc.assert(
      fc.property(cuts, ({ values, ranges }) => {
        const tree = outlineOf(values, ranges);
        const root = valuesRoot(sha256, LEAF.update, values);
        for (const range of ranges)
          expect(
            verifyRange(sha256, root, tree.leaves, range, rootsOf(values, range), tree.proof(range)),
          ).toBe(true);
      }),
    );
  });

  test('shows a wrong value, a wrong place and a wrong proof', () => {
    fc.assert(
      fc.property(
        fc.int32Array({ minLength: 500, maxLength: 3_000 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (values, at, flip) => {
          const ranges = shardRanges(values.length, 3);
          const tree = outlineOf(values, ranges);
          const root = tree.root;
          const { leaves } = tree;
          const wrong = values.slice();
          const index = at % values.length;
          wrong[index] = (wrong[index] ?? 0) ^ flip;
          for (const range of ranges) {
            const [from, to] = valuesOf(values.length, range);
            const proof = tree.proof(range);
            const holds = verifyRange(sha256, root, leaves, range, rootsOf(wrong, range), proof);
            expect(holds).toBe(index < from || index >= to);
            const roots = rootsOf(values, range);
            const other = ranges.find((one) => one !== range) ?? range;
            expect(verifyRange(sha256, root, leaves, other, roots, proof)).toBe(false);
            expect(verifyRange(sha256, root, leaves, range, roots, proof.slice(1))).toBe(false);
            const [first = new Uint8Array(32)] = proof;
            const changed = [first.map((byte) => byte ^ flip), ...proof.slice(1)];
            expect(verifyRange(sha256, root, leaves, range, roots, changed)).toBe(false);
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test('refuses ranges that no tree has', () => {
    const one = new Uint8Array(32);
    for (const range of [
      { from: 0, to: 0 },
      { from: -1, to: 1 },
      { from: 0, to: 3 },
      { from: 0.5, to: 1 },
    ])
      expect(provenRangeRoot(sha256, 2, range, [one], [one])).toBeNull();
  });

  test('is not complete while a range is missing', () => {
    const values = new Int32Array(640);
    const [first, ...others] = shardRanges(640, 3);
    expect(() => outlineOf(values, others).root).toThrow(/in none of the ranges/);
    expect(() => new TreeOutline(sha256, 10).add(first ?? { from: 0, to: 1 }, [])).toThrow(/subtrees/);
  });
});
