import { linesOf, OpenEpoch } from '#audit/openEpoch.js';
import { toHex, type Hex } from '#core/hex.js';
import type { EpochManifest } from '#core/manifest.js';
import { deltaRootInOrder } from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';

/** What a payer that lies publishes of an epoch. */
export type FalseEpoch = EpochManifest['hashed'];

/** Moves units of a round to an account. */
export function give({ rounds }: FalseEpoch, round: number, to: Hex | undefined, units: bigint): void {
  const share = rounds[round]?.shares.find(({ runner }) => runner === to);
  if (share) share.amount = String(BigInt(share.amount) + units);
}

/** Lines, root and total that follow from the rounds. */
export function settle(epoch: FalseEpoch): void {
  for (const line of epoch.accounts) {
    const deltas = epoch.rounds.flatMap(({ job, round, shares }) =>
      shares.flatMap(({ runner, amount }) =>
        runner === line.account ? [{ job, round, amount: BigInt(amount) }] : [],
      ),
    );
    line.cumulative = String(deltas.reduce((sum, { amount }) => sum + amount, 0n));
    line.deltaRoot = toHex(deltaRootInOrder(sha256, deltas));
  }
  root(epoch);
}

/** Root and total of the lines as they stand. */
export function root(epoch: FalseEpoch): void {
  epoch.root = toHex(new OpenEpoch(sha256, linesOf(epoch.accounts), epoch.rounds).tree.root);
  epoch.total = String(epoch.accounts.reduce((sum, { cumulative }) => sum + BigInt(cumulative), 0n));
}
