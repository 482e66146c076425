/** A sum too large for one process, cut by ranges of parameters: which ranges, and what travels for each. */
import { z } from 'zod';
import { RoundtableError } from './errors.js';
import type { LeafRange } from './merkleRange.js';
import { leafCount, VALUES_PER_LEAF } from './merkle.js';
import { robustRule } from './robustRule.js';
import { address, count, hash32, jobId, round } from './schema.js';
import { UPDATES_PER_PASS } from './sumKernel.js';

/**
 * Ranges of about the same size that are all of a vector's leaves. Their borders lie where few subtrees are cut, so
 * that proofs stay short: a range is within a quarter of the mean.
 * @throws INVALID_INPUT for less than one shard, or more than there are leaves
 */
export function shardRanges(dimension: number, shards: number): LeafRange[] {
  const leaves = leafCount(dimension);
  if (!Number.isInteger(shards) || shards < 1 || shards > leaves)
    throw new RoundtableError('INVALID_INPUT', `${leaves} leaves cannot be cut into ${shards} shards.`);
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(leaves / (8 * shards))));
  const units = Math.ceil(leaves / unit);
  const border = (index: number) => Math.min(leaves, Math.floor((index * units) / shards) * unit);
  return Array.from({ length: shards }, (_, index) => ({ from: border(index), to: border(index + 1) }));
}

/** Indices of a range's values in their vector: the first, and one past the last. */
export function valuesOf(dimension: number, { from, to }: LeafRange): [from: number, to: number] {
  return [from * VALUES_PER_LEAF, Math.min(to * VALUES_PER_LEAF, dimension)];
}

/** One update, as the function that adds a range of it has to know it. The key of its file is not in here. */
const shardedUpdate = z.strictObject({
  runner: address,
  file: hash32,
  weight: count,
  updateRoot: hash32,
  /** AES-GCM's, 12 bytes. */
  nonce: z.string().regex(/^0x[0-9a-f]{24}$/),
  /** Where the encrypted bytes begin in the sealed file, and where the values begin in what they hold. */
  sealedAt: count,
  valuesAt: count,
  /** The subtrees beside the range, 32 bytes each, one after the other. */
  proof: z.string().regex(/^0x(?:[0-9a-f]{64})*$/),
});
export type ShardedUpdate = z.output<typeof shardedUpdate>;

/** What one function adds: a range of every update of a round, in the order of their commitment. */
export const shardPlan = z.strictObject({
  kind: z.literal('shard'),
  job: jobId,
  round,
  dimension: count,
  /** Of leaves. */
  range: z.strictObject({ from: count, to: count }),
  updates: z.array(shardedUpdate).min(1),
  /** Absent: the weighted sum. */
  robust: robustRule.optional(),
});
export type ShardPlan = z.output<typeof shardPlan>;

/** The call. The content keys of the updates travel with it and lie nowhere: 32 bytes each, base64. */
export const shardCall = z.strictObject({ job: jobId, round, plan: hash32, keys: z.string() });
export type ShardCall = z.output<typeof shardCall>;

/** Where the part lies that the function has written (sumPart.ts), or why there is none. */
export const shardAnswer = z.union([
  z.strictObject({ part: hash32 }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
]);
export type ShardAnswer = z.output<typeof shardAnswer>;

/** How a sum is cut. */
export interface ShardRules {
  /** Values up to which the worker adds by itself: it holds 36 bytes for each (parameters, sums, four updates). */
  most: number;
  /** Values that one function adds at most. */
  each: number;
}

/** A value of so many updates at once, with what is made of it. */
const bytes = (updates: number): number => 12 + 4 * Math.max(UPDATES_PER_PASS, updates);

/**
 * 1: no function is needed.
 * @param held updates that are held at a time: a robust rule needs all of a range's at once
 */
export function shardsFor(dimension: number, { most, each }: ShardRules, held = UPDATES_PER_PASS): number {
  if (dimension <= most) return 1;
  const shards = Math.ceil((dimension * bytes(held)) / (each * bytes(UPDATES_PER_PASS)));
  return Math.min(leafCount(dimension), Math.max(2, shards));
}
