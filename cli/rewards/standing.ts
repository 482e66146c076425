import type { AuditSources } from '#audit/sources.js';
import type { Hex } from '#core/hex.js';
import type { CreditMessage } from '#core/messages.js';
import { epochInEffect, provenLeaves } from './claim.js';

/** What one account has from one payer. Amounts in the token's smallest unit. */
export interface Standing {
  account: Hex;
  /** All it was credited, round by round. */
  earned: bigint;
  /** In effect on chain and not paid yet. */
  claimable: bigint;
  claimed: bigint;
  /** Of the latest claim. */
  transaction: Hex | null;
  rounds: { job: Hex; round: number; amount: bigint }[];
}

/** @param credits as the stack credited them; what is claimable and claimed comes from the chain */
export async function rewardStandings(
  sources: AuditSources,
  payer: Hex,
  credits: readonly CreditMessage[],
): Promise<Standing[]> {
  const { chain } = sources;
  const inEffect = await epochInEffect(chain, payer);
  const [{ leaves }, claims] = await Promise.all([
    inEffect === 0 ? { leaves: [] } : provenLeaves(sources, payer, inEffect),
    chain.claims(payer),
  ]);
  const accounts = new Set<Hex>([
    ...credits.map(({ runner }) => runner),
    ...leaves.map(({ account }) => account),
  ]);
  return Promise.all(
    [...accounts].sort().map(async (account) => {
      const rounds = credits
        .filter(({ runner }) => runner === account)
        .map(({ job, round, amount }) => ({ job, round, amount: BigInt(amount) }))
        .sort((a, b) => (a.job === b.job ? a.round - b.round : a.job < b.job ? -1 : 1));
      const claimed = await chain.claimed(payer, account);
      const owed = leaves.find((leaf) => leaf.account === account)?.cumulative ?? 0n;
      return {
        account,
        earned: rounds.reduce((sum, { amount }) => sum + amount, 0n),
        claimable: owed > claimed ? owed - claimed : 0n,
        claimed,
        transaction: claims.findLast((claim) => claim.account === account)?.transaction ?? null,
        rounds,
      };
    }),
  );
}

/** @example roundRanges([1, 2, 3, 5]) // '1-3, 5' */
export function roundRanges(rounds: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const round of [...rounds].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === round - 1) last[1] = round;
    else ranges.push([round, round]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}
