import type { JobId, RunnerId } from '#core/hex.js';
import { keptReceipt, type KeptReceipt } from '#core/receipts.js';
import { expiryAttribute } from './definition.js';
import { ordinal, type Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** Receipts that this stack's member has signed: runners fetch them, and the member must answer for them on chain. */
export interface ReceiptTable {
  /** Written again, they are the same. */
  putReceipts(receipts: readonly KeptReceipt[]): Promise<void>;
  /** Of a round, ascending by runner; of one runner if given. */
  listReceipts(job: JobId, round: number, runner?: RunnerId): Promise<KeptReceipt[]>;
}

/** Longer than the longest round (a week), its window and a question at its end together. */
const keptSeconds = 90 * 86_400;

export function receiptTable(items: Items): ReceiptTable {
  return {
    async putReceipts(receipts) {
      const expires = Math.floor(Date.now() / 1_000) + keptSeconds;
      await items.putAll(
        receipts.map((receipt) => ({
          pk: partition(receipt.job, receipt.round),
          sk: `${receipt.runner}#${receipt.updateRoot}`,
          view: encodeView(receipt),
          [expiryAttribute]: expires,
        })),
      );
    },

    async listReceipts(job, round, runner) {
      const rows = await items.query(partition(job, round), runner === undefined ? '' : `${runner}#`);
      return rows.map((item) => decodeView(keptReceipt, item));
    },
  };
}

const partition = (job: JobId, round: number): string => `receipts#${job}#${ordinal(round)}`;
