import { aggregationTree } from './commitment.js';
import { ExactSum } from './sum.js';
import { UPDATES_PER_PASS } from './sumKernel.js';

/** A round's updates, or the same range of each. */
export interface SumTree {
  /** Values of each. */
  dimension: number;
  /** In the order of their commitment. */
  weights: readonly number[];
  read(index: number): Promise<Int32Array>;
  /** Called for every node of the aggregation tree once, children before parents; level 0 is the bottom. */
  onNode(level: number, index: number, sum: NodeSum): void;
}

/** What a node commits to: the weighted sum of the updates below it, or what a robust rule has in its place. */
export type NodeSum = Pick<ExactSum, 'values' | 'weight' | 'count'>;

/**
 * The exact sum over the aggregation tree (PROTOCOL 5). Four updates and one partial sum a level are held at a time, so
 * memory does not grow with the runners.
 * @throws INVALID_INPUT as ExactSum
 */
export async function sumTree({ dimension, weights, read, onNode }: SumTree): Promise<ExactSum> {
  const { levels } = aggregationTree(weights.length);

  const sumOf = async (level: number, index: number): Promise<ExactSum> => {
    const sum = new ExactSum(dimension);
    const [first, end] = levels[level]?.[index]?.children ?? [0, 0];
    if (level > 0) for (let child = first; child < end; child++) sum.addSum(await sumOf(level - 1, child));
    else
      for (let from = first; from < end; from += UPDATES_PER_PASS) {
        const to = Math.min(from + UPDATES_PER_PASS, end);
        const updates = Array.from({ length: to - from }, (_, i) => read(from + i));
        sum.addAll(await Promise.all(updates), weights.slice(from, to));
      }
    onNode(level, index, sum);
    return sum;
  };
  return sumOf(levels.length - 1, 0);
}
