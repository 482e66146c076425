import type { Hash, Hex } from '#core/hex.js';
import type { TransactionRecord } from '#core/messages.js';
import type { Archive } from '#services/archive.js';
import type { Chain } from '#services/chain.js';
import type { Anchor } from '#services/chain/logs.js';

export interface RestorationSources {
  chain: Chain;
  archive: Pick<Archive, 'get' | 'find'>;
  hash: Hash;
}

/** Chain and archive, and what is asked of them for every row. */
export interface Record {
  sources: RestorationSources;
  /** Whose stack it is: the coordinator of its jobs, the payer of their rewards. */
  member: Hex;
  /** When the chain had this block, ISO 8601. */
  timeOf(block: number): Promise<string>;
  /** A transaction as the table notes it. */
  transaction(purpose: string, at: Anchor): Promise<TransactionRecord>;
}

export function openRecordOf(sources: RestorationSources, member: Hex): Record {
  const { provider } = sources.chain;
  const times = new Map<number, Promise<string>>();
  const ask = async (number: number) => {
    const block = await provider.getBlock(number);
    return new Date(1_000 * (block?.timestamp ?? 0)).toISOString();
  };
  return {
    sources,
    member,
    timeOf(block) {
      const known = times.get(block) ?? ask(block);
      times.set(block, known);
      return known;
    },
    async transaction(purpose, { transaction: hash, block }) {
      const receipt = await provider.getTransactionReceipt(hash);
      return { purpose, hash, gas: Number(receipt?.gasUsed ?? 0), block };
    },
  };
}
