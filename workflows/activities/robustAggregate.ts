/** A round under a robust rule, in the worker's own memory. */
import { leafCount, LEAF } from '#core/merkle.js';
import { subtreeRoots } from '#core/merkleRange.js';
import type { RobustRule } from '#core/robustRule.js';
import { roundTree } from '#core/robustTree.js';
import { shardRanges, valuesOf } from '#core/shards.js';
import type { SumPart } from '#core/sumPart.js';
import { sha256 } from '#services/sha256.js';
import type { Aggregate, AggregateInput } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { readDelta } from './updateDelta.js';
import { VersionInRanges } from './versionInRanges.js';

/**
 * As aggregate, for a rule that needs all updates at once: of more than 2^26 values altogether (40 updates of 1.66 million)
 * a range is held after the other, and every update is read anew for each.
 */
export async function aggregateRobustly(
  deps: Dependencies,
  input: AggregateInput,
  rule: RobustRule,
  heldAtMost = 2 ** 26,
): Promise<Aggregate> {
  const { prepared, opening, updates } = input;
  const { dimension } = prepared;
  const next = await VersionInRanges.from(deps, input);
  const passes = Math.min(leafCount(dimension), Math.ceil((dimension * updates.length) / heldAtMost));
  for (const range of shardRanges(dimension, passes)) {
    const [from, to] = valuesOf(dimension, range);
    const roots: SumPart['roots'] = [];
    const { values } = await roundTree(rule, {
      dimension: to - from,
      weights: next.weights,
      async read(index) {
        const update = updates[index];
        if (!update) throw new TypeError(`there is no update ${index}`);
        const delta = await readDelta(deps, prepared.spec, opening, update);
        // A copy lets go of the rest of the file.
        return passes === 1 ? delta : delta.slice(from, to);
      },
      onNode(level, index, sum) {
        (roots[level] ??= [])[index] = subtreeRoots(sha256, LEAF.sum, sum.values, range);
      },
    });
    next.add(range, { values, roots });
  }
  return next.store();
}
