/** Median and trimmed mean of updates, value by value, in exact integer arithmetic (PROTOCOL section 3). */
import { RoundtableError } from './errors.js';
import { keptOf, MOST_ROBUST } from './robust.js';
import type { RobustRule } from './robustRule.js';
import { sortingNetwork, takeRows } from './sortKernel.js';
import { addQuotient } from './step.js';

/**
 * For every value the mean, rounded half to even, of the updates' values that the rule keeps: one of them for the median
 * (of an even number the lower of the two in the middle). The same for every order of the updates.
 * @param updates 1 to 1,024 vectors of one length
 * @throws INVALID_INPUT for other numbers and lengths
 */
export function robustMean(rule: RobustRule, updates: readonly Int32Array[]): Int32Array {
  const count = updates.length;
  const dimension = updates[0]?.length ?? 0;
  checkUpdates(updates, dimension);
  const [from, to] = keptOf(rule, count);
  const network = sortingNetwork(count, [from, to]);
  const { rows, exchange } = takeRows(count);
  const columns = rows[0]?.length ?? 1;
  const mean = new Int32Array(dimension);
  for (let first = 0; first < dimension; first += columns) {
    // Behind the end of a last, shorter block lies what was there before; it is sorted and not kept.
    updates.forEach((update, row) => rows[row]?.set(update.subarray(first, first + columns)));
    for (const [low, high] of network) exchange(low, high);
    meanOf(rows.slice(from, to), mean.subarray(first, first + columns));
  }
  return mean;
}

/**
 * What a node of the aggregation tree commits to in place of a weighted sum: weight times the robust mean, so that the step
 * divides by the weight again and nothing else has to know of the rule.
 */
export function weighted(mean: Int32Array, weight: number): Float64Array {
  const sum = new Float64Array(mean.length);
  for (let i = 0; i < sum.length; i++) sum[i] = (mean[i] ?? 0) * weight;
  return sum;
}

function meanOf(kept: readonly Int32Array[], mean: Int32Array): void {
  const [only, ...others] = kept;
  if (!only) return;
  if (others.length === 0) return mean.set(only.subarray(0, mean.length));
  for (let i = 0; i < mean.length; i++) {
    let sum = only[i] ?? 0;
    for (const row of others) sum += row[i] ?? 0;
    mean[i] = addQuotient(0, sum, kept.length);
  }
}

function checkUpdates(updates: readonly Int32Array[], dimension: number): void {
  if (updates.length < 1 || updates.length > MOST_ROBUST)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A robust rule is computed over 1 to ${MOST_ROBUST} updates, not ${updates.length}.`,
    );
  const other = updates.find(({ length }) => length !== dimension);
  if (other)
    throw new RoundtableError(
      'INVALID_INPUT',
      `An update of ${other.length} values was given where the others have ${dimension}.`,
    );
}
