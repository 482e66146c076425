import type { Hex } from '#core/hex.js';
import { wordTime } from '#services/chain/words.js';
import type { ChainClosing } from '#services/chain.js';
import type { Dependencies } from './dependencies.js';

/**
 * disputable: its window is open, or a question about its job waits for an answer. unreleased: nobody has moved its budget yet. releasing: somebody has, and a
 * reorganisation may still undo it. released: the payer owes it, for good.
 */
export interface OwedRound {
  job: Hex;
  round: number;
  state: 'disputable' | 'unreleased' | 'releasing' | 'released';
  closing: ChainClosing;
}

/**
 * Rounds that a payer owes: those whose budgets were released into its purse, and those that will be, because it
 * coordinates their job. After a take-over that is not always whoever closed them.
 */
export async function owedRounds(deps: Dependencies, payer: Hex): Promise<OwedRound[]> {
  const { chain, windowSeconds } = deps;
  const now = Math.floor(Date.now() / 1000);
  // Money is reckoned only from what no reorganisation takes back.
  const settled = { confirmations: chain.network.reorgDepth };
  const owed: OwedRound[] = [];
  for (const job of await chain.jobsOf(payer, settled)) {
    const { coordinator, waits } = await chain.escrow(job);
    const [newest, deep] = [await chain.releases(job), await chain.releases(job, settled)];
    for (const { round, closing } of await chain.rounds(job, settled)) {
      if (!closing) continue;
      const covers = ({ from, to }: { from: number; to: number }) => from <= round && round <= to;
      const payee = newest.find(covers)?.coordinator ?? coordinator;
      if (payee !== payer) continue;
      const { closing: word } = await chain.commitments(job, round);
      const isOpen = waits || (word !== null && wordTime(word) + windowSeconds > now);
      const state = deep.some(covers)
        ? 'released'
        : newest.some(covers)
          ? 'releasing'
          : isOpen
            ? 'disputable'
            : 'unreleased';
      owed.push({ job, round, state, closing });
    }
  }
  return owed;
}
