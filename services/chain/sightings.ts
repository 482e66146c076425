/** What several endpoints say about one transaction, put together. An endpoint that lies or lags is outvoted. */
import { z } from 'zod';
import type { Hex } from '#core/hex.js';
import type { Answer } from './rpc.js';

const hash32 = z.string().regex(/^0x[0-9a-f]{64}$/);
const quantity = z.string().regex(/^0x[0-9a-f]+$/i);

const receipt = z.object({
  transactionHash: hash32,
  blockHash: hash32,
  blockNumber: quantity,
  gasUsed: quantity,
  status: quantity,
});

const block = z.object({ hash: hash32, transactions: z.array(hash32) });

export interface Sighting {
  block: number;
  blockHash: string;
  gasUsed: bigint;
  succeeded: boolean;
}

/** The receipt that more than half of those that have one agree about. */
export function minedAs(hash: Hex, answers: readonly Answer[]): Sighting | null {
  const receipts = answers.flatMap((answer) => {
    const parsed = receipt.safeParse('result' in answer ? answer.result : null);
    return parsed.success && parsed.data.transactionHash === hash ? [parsed.data] : [];
  });
  const found = receipts.find(
    (entry) => receipts.filter((other) => key(other) === key(entry)).length * 2 > receipts.length,
  );
  if (found === undefined) return null;
  return {
    block: Number(found.blockNumber),
    blockHash: found.blockHash,
    gasUsed: BigInt(found.gasUsed),
    succeeded: BigInt(found.status) === 1n,
  };
}

/** Whether, of those that have a block at that height, more than half have this one with the transaction in it. */
export function inBlock(hash: Hex, blockHash: string, answers: readonly Answer[]): boolean {
  const blocks = answers.flatMap((answer) => {
    const parsed = block.safeParse('result' in answer ? answer.result : null);
    return parsed.success ? [parsed.data] : [];
  });
  const holding = blocks.filter((entry) => entry.hash === blockHash && entry.transactions.includes(hash));
  return holding.length * 2 > blocks.length;
}

function key({ blockHash, blockNumber, status }: z.output<typeof receipt>): string {
  return `${blockHash} ${blockNumber} ${status}`;
}
