import { setImmediate as others } from 'node:timers/promises';
import type { KeptReceipt } from '#core/receipts.js';
import { RoundtableError } from '#core/errors.js';
import type { ReceiptsInput } from '../types.js';
import type { Dependencies } from './dependencies.js';

/** A signature takes half a millisecond; so many in a row hold nobody up. */
const signedAtOnce = 16;

/**
 * Signs a receipt for every update that is added, where their runners can fetch them (contracts/ReceiptJudge.sol). Only
 * once it is settled which updates a round has: whoever signs for one and does not add it is convicted. Repeated, it signs
 * the same.
 * @throws RECEIPT_BROKEN when an earlier attempt at this opening signed for an update that this one has not; the round
 * must not close then
 */
export async function signReceipts(
  { table, signReceipt }: Pick<Dependencies, 'table' | 'signReceipt'>,
  { opening, updates }: ReceiptsInput,
): Promise<void> {
  const { job, round, openHash } = opening;
  const receipts: KeptReceipt[] = [];
  for (const { runner, updateRoot, dimension, samples, steps, signature } of updates) {
    const statement = { job, round, openHash, runner, updateRoot };
    const update = { dimension, samples, steps, signature };
    receipts.push({ ...statement, signature: signReceipt(statement), update });
    if (receipts.length % signedAtOnce === 0) await others();
  }
  const before = await table.listReceipts(job, round);
  // Two statements of one runner are an answer; a runner that is missing is none.
  const promised = before.find(
    (kept) => kept.openHash === openHash && !receipts.some(({ runner }) => runner === kept.runner),
  );
  if (promised)
    throw new RoundtableError(
      'RECEIPT_BROKEN',
      `Round ${round} of job ${job} was begun before under this opening, and runner ${promised.runner} has a receipt for an update that is missing now. Closing without it would convict this stack's member, so the round ends here; its receipts are paid.`,
    );
  await table.putReceipts(receipts);
}
