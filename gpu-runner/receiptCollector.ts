import { setTimeout as delay } from 'node:timers/promises';
import { receiptTypes, updateDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { mostReceipts, receiptsAnswer } from '#core/receipts.js';
import { typedDataSigner } from '#services/signatures.js';
import type { DecisionLog } from './decisionLog.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';
import type { HeldReceipt, ReceiptBook } from './receiptBook.js';
import type { StackClient } from './stackClient.js';

const LOOK_MS = 2_000;
/** Of an update that was sent this long ago its receipt is asked for less often. */
const SOON_MS = 120_000;
const SELDOM_MS = 60_000;

interface CollectorParts {
  book: ReceiptBook;
  stack: Pick<StackClient, 'ask'>;
  coordinator: Hex;
  domain: { chainId: number; jobs: Hex };
  decisions: Pick<DecisionLog, 'append'>;
  log: Log;
}

/** Fetches the receipts for what was sent to one stack, until the signal. Where nothing is missing, nothing is asked. */
export async function collectReceipts(parts: CollectorParts, signal: AbortSignal): Promise<void> {
  let complaint: string | null = null;
  let seldom = 0;
  while (!signal.aborted) {
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const now = Date.now();
    const isDue = now - seldom >= SELDOM_MS;
    if (isDue) seldom = now;
    const missing = missingOf(parts).filter(({ sentAt }) => isDue || now - sentAt < SOON_MS);
    if (missing.length === 0) continue;
    try {
      await fetchReceipts(parts, missing.slice(-mostReceipts), signal);
      for (const held of missingOf(parts)) if (now > held.expectedUntil) await parts.book.end(held, 'none');
      complaint = null;
    } catch (error) {
      const message = messageOf(error);
      if (message !== complaint && !signal.aborted) parts.log.warn({}, `cannot fetch receipts: ${message}`);
      complaint = message;
    }
  }
}

function missingOf({ book, coordinator }: CollectorParts): HeldReceipt[] {
  return book.all().filter((held) => held.coordinator === coordinator && held.signature === null);
}

/** @param missing at most 50 */
export async function fetchReceipts(
  { book, stack, domain, decisions, log }: CollectorParts,
  missing: readonly HeldReceipt[],
  signal: AbortSignal,
): Promise<void> {
  const rounds = missing.map(({ opening: { job, round } }) => ({ job, round }));
  const { items } = await stack.ask('/v1/runners/receipts', { rounds }, receiptsAnswer, signal);
  for (const held of missing) {
    const { coordinator, opening, runner, updateRoot } = held;
    const { job, round, openHash } = opening;
    const found = items.find(
      (item) =>
        item.job === job &&
        item.round === round &&
        item.openHash === openHash &&
        item.updateRoot === updateRoot,
    );
    if (!found) continue;
    const { signature } = found;
    const statement = { job, round, openHash, runner, updateRoot };
    const signer = typedDataSigner(
      updateDomain(domain.chainId, domain.jobs),
      receiptTypes,
      statement,
      signature,
    );
    if (signer !== coordinator) {
      log.warn({ job, round }, `the receipt that the stack gave is not signed by ${coordinator}`);
      continue;
    }
    await book.write({ ...held, signature });
    await decisions.append({ kind: 'receipt', coordinator, job, round, updateRoot, signature });
  }
}
