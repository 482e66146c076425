import { aggregationTree } from './commitment.js';
import { robustMean, weighted } from './robustMean.js';
import type { RobustRule } from './robustRule.js';
import { sumTree, type NodeSum, type SumTree } from './sumTree.js';

/** What a round's tree commits to by the rule of its job. @throws INVALID_INPUT as sumTree and robustMean */
export function roundTree(rule: RobustRule | undefined, tree: SumTree): Promise<NodeSum> {
  return rule ? robustTree(rule, tree) : sumTree(tree);
}

/**
 * Every node has the rule over all updates below it, however many levels lie between: a median of medians would let those
 * who are the majority in one group decide for it. So all updates are held at once, 4 bytes for each value of each.
 */
async function robustTree(rule: RobustRule, { weights, read, onNode }: SumTree): Promise<NodeSum> {
  const { levels } = aggregationTree(weights.length);
  const updates: Int32Array[] = [];
  for (let from = 0; from < weights.length; from += READ_AT_ONCE) {
    const to = Math.min(from + READ_AT_ONCE, weights.length);
    updates.push(...(await Promise.all(Array.from({ length: to - from }, (_, i) => read(from + i)))));
  }
  let last: NodeSum = { values: new Float64Array(0), weight: 0, count: 0 };
  for (const [level, nodes] of levels.entries())
    for (const [index, { runners }] of nodes.entries()) {
      last = robustSum(rule, updates.slice(...runners), weights.slice(...runners));
      onNode(level, index, last);
    }
  return last;
}

/** What a node over these updates commits to. @throws INVALID_INPUT as robustMean */
export function robustSum(
  rule: RobustRule,
  updates: readonly Int32Array[],
  weights: readonly number[],
): NodeSum {
  const weight = weights.reduce((sum, each) => sum + each, 0);
  return { values: weighted(robustMean(rule, updates), weight), weight, count: updates.length };
}

const READ_AT_ONCE = 4;
