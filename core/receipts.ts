import { z } from 'zod';
import { address, count, hash32, jobId, round, signature65 } from './schema.js';

/**
 * A coordinator's receipt for an update (ReceiptStatement in eip712.ts) with its signature, and what the runner had
 * signed: the coordinator needs both when it is asked where the update is.
 */
export const keptReceipt = z.strictObject({
  job: jobId,
  round,
  openHash: hash32,
  runner: address,
  updateRoot: hash32,
  /** Of the coordinator, r ‖ s ‖ v. */
  signature: signature65,
  /** The runner's statement, as far as the receipt does not say it, and its signature. */
  update: z.strictObject({ dimension: count, samples: count, steps: count, signature: signature65 }),
});
export type KeptReceipt = z.output<typeof keptReceipt>;

/** At most so many rounds in one question. */
export const mostReceipts = 50;

/** What a runner asks for: its receipts of these rounds. */
export const receiptsRequest = z.strictObject({
  rounds: z
    .array(z.strictObject({ job: jobId, round }))
    .min(1)
    .max(mostReceipts),
});

/** Those that are signed by now. */
export const receiptsAnswer = z.strictObject({
  items: z
    .array(
      z.strictObject({ job: jobId, round, openHash: hash32, updateRoot: hash32, signature: signature65 }),
    )
    .max(4 * mostReceipts),
});
