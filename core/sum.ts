/** The exact weighted sum of updates (PROTOCOL section 3): float64 holds every partial sum, so order does not matter. */
import { RoundtableError } from './errors.js';
import { sumKernel, UPDATES_PER_PASS, VALUES_PER_BLOCK, type SumKernel } from './sumKernel.js';
import { MAX_TOTAL_WEIGHT } from './weights.js';

/**
 * Takes updates as they arrive and keeps nothing of them: memory is 8 bytes a parameter, for 16 runners or 256.
 *
 * @example const sum = new ExactSum(dimension); sum.add(update, weight); fedAvg(P, sum.values, sum.weight, rate)
 */
export class ExactSum {
  /** S, integers within 2^53 in magnitude. */
  readonly values: Float64Array;
  /** W, the sum of the weights so far. */
  weight = 0;
  /** Updates so far. */
  count = 0;

  constructor(dimension: number) {
    this.values = new Float64Array(dimension);
  }

  /** @throws INVALID_INPUT for another dimension, or when the weights would exceed 2^22 altogether */
  add(update: Int32Array, weight: number): void {
    this.addAll([update], [weight]);
  }

  /** Several at once: groups of four are added at about the speed of copying them. @throws INVALID_INPUT as add */
  addAll(updates: readonly Int32Array[], weights: readonly number[]): void {
    checkUpdates(this.values.length, updates, weights);
    this.#count(
      weights.reduce((total, weight) => total + weight, 0),
      updates.length,
    );
    sumBlock(this.values, updates, weights);
  }

  /** Adds the sum of a node below this one in the aggregation tree. @throws INVALID_INPUT as add */
  addSum(below: Pick<ExactSum, 'values' | 'weight' | 'count'>): void {
    if (below.values.length !== this.values.length)
      throw wrongDimension(below.values.length, this.values.length);
    this.#count(below.weight, below.count);
    const sum = this.values;
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (below.values[i] ?? 0);
  }

  #count(weight: number, updates: number): void {
    if (this.weight + weight > MAX_TOTAL_WEIGHT)
      throw new RoundtableError(
        'INVALID_INPUT',
        `The weights sum to ${this.weight + weight}, more than 2^22.`,
      );
    this.weight += weight;
    this.count += updates;
  }
}

/**
 * out += sum of weights[j] * updates[j]. The caller keeps the total weight in `out` within 2^22 (ExactSum does).
 * @throws INVALID_INPUT when lengths differ or a weight is not an integer from 1 to 2^22
 */
export function sumBlock(
  out: Float64Array,
  updates: readonly Int32Array[],
  weights: readonly number[],
): void {
  checkUpdates(out.length, updates, weights);
  const kernel = out.length >= MIN_KERNEL_LENGTH ? sumKernel() : null;
  const grouped = kernel ? updates.length - (updates.length % UPDATES_PER_PASS) : 0;
  if (kernel && grouped > 0) sumGroups(kernel, out, updates.slice(0, grouped), weights);
  for (let j = grouped; j < updates.length; j++) accumulate(out, updates[j] ?? NOTHING, weights[j] ?? 0);
}

/** sum += weight * update, over the indices from `from` up to `to`. */
export function accumulate(
  sum: Float64Array,
  update: Int32Array,
  weight: number,
  from = 0,
  to: number = sum.length,
): void {
  for (let i = from; i < to; i++) sum[i] = (sum[i] ?? 0) + (update[i] ?? 0) * weight;
}

/** A shorter vector is not worth a whole block. */
const MIN_KERNEL_LENGTH = VALUES_PER_BLOCK / 4;
const NOTHING = new Int32Array(0);

/** Adds a multiple of four updates, block by block, so that sums are read and written once. */
function sumGroups(
  kernel: SumKernel,
  out: Float64Array,
  updates: readonly Int32Array[],
  weights: readonly number[],
): void {
  for (let from = 0; from < out.length; from += VALUES_PER_BLOCK) {
    const to = Math.min(from + VALUES_PER_BLOCK, out.length);
    const block = out.subarray(from, to);
    kernel.out.set(block);
    for (let first = 0; first < updates.length; first += UPDATES_PER_PASS) {
      // Behind the end of a last, shorter block lies what was there before; it is added and not kept.
      kernel.updates.forEach((room, k) => room.set(updates[first + k]?.subarray(from, to) ?? NOTHING));
      const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = weights.slice(first, first + UPDATES_PER_PASS);
      kernel.run(w0, w1, w2, w3);
    }
    block.set(kernel.out.subarray(0, to - from));
  }
}

function checkUpdates(dimension: number, updates: readonly Int32Array[], weights: readonly number[]): void {
  if (updates.length !== weights.length)
    throw new RoundtableError(
      'INVALID_INPUT',
      `${updates.length} updates came with ${weights.length} weights.`,
    );
  for (const update of updates)
    if (update.length !== dimension) throw wrongDimension(update.length, dimension);
  for (const weight of weights)
    if (!Number.isInteger(weight) || weight < 1 || weight > MAX_TOTAL_WEIGHT)
      throw new RoundtableError('INVALID_INPUT', `A weight is an integer from 1 to 2^22, not ${weight}.`);
}

function wrongDimension(given: number, expected: number): RoundtableError {
  return new RoundtableError(
    'INVALID_INPUT',
    `An update of ${given} values was given to a sum of ${expected}.`,
  );
}
