/** What each account earned from a payer, round by round, and how far it has come to being paid. */
import { toHex, type Hex } from '#core/hex.js';
import { largestManifest, roundManifest, type EpochManifest } from '#core/manifest.js';
import { accountsOf, epochTree, type ProvenRewardLeaf } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import type { ChainEpoch } from '#services/chain.js';
import { parseJson, sameJson } from './documents.js';
import { findEpochManifest } from './settlement.js';
import type { AuditSources } from './sources.js';

/**
 * disputable: its round may still turn out wrong; final: it waits for the next epoch; waiting: its epoch is published
 * and not in effect; claimable; claimed.
 */
export type EarningState = 'disputable' | 'final' | 'waiting' | 'claimable' | 'claimed';

/** Amounts in the token's smallest unit, times in seconds since 1970. */
export interface Earning {
  job: Hex;
  round: number;
  account: Hex;
  units: bigint;
  /** Units of those before it in the round, and of all: amount = floor(B*(before+units)/all) - floor(B*before/all). */
  unitsBefore: bigint;
  unitsInAll: bigint;
  budget: bigint;
  amount: bigint;
  state: EarningState;
  /** When the next state comes, where time alone brings it. */
  until: number | null;
  epoch: number | null;
  /** The last transaction that says something of it: its claim, else its epoch's, else its round's closing. */
  transaction: Hex;
  block: number;
  at: number;
}

/** The leaf that an account shows to be paid, with its epoch. */
export interface Proof {
  epoch: ChainEpoch;
  leaf: ProvenRewardLeaf;
  inEffect: boolean;
}

export interface Earnings {
  /** In the order of jobs on chain, rounds and commitments. */
  lines: Earning[];
  /** By account, of the newest epoch that has it. */
  proofs: Map<Hex, Proof>;
  claimed: Map<Hex, bigint>;
}

/**
 * Everything from the chain and the archive; nothing that a stack says is needed.
 * @param now seconds since 1970
 * @throws Wrong when a manifest is not the one that the chain names
 */
export async function readEarnings(sources: AuditSources, payer: Hex, now: number): Promise<Earnings> {
  const { chain } = sources;
  const [published, claims, window] = await Promise.all([
    chain.epochs(payer),
    chain.claims(payer),
    chain.disputeWindow(),
  ]);
  const epochs = await Promise.all(
    published
      .sort((a, b) => a.epoch - b.epoch)
      .map(async (onChain) => ({ onChain, manifest: await findEpochManifest(sources, onChain) })),
  );
  const times = blockTimes(sources);
  const lines: Earning[] = [];
  for (const job of await chain.jobsOf(payer))
    for (const { round, closing } of await chain.rounds(job)) {
      if (closing === null) continue;
      const bytes = await sources.archive.get(closing.archiveId, largestManifest);
      const { hashed } = parseMessage(roundManifest, parseJson(bytes, closing.archiveId), 'The manifest');
      sameJson(
        sources,
        'the round',
        { job, round },
        { job: hashed.opening.job, round: hashed.opening.round },
      );
      const { budget, shares } = hashed.rewards;
      const unitsInAll = shares.reduce((sum, { units }) => sum + BigInt(units), 0n);
      const entry = epochs.find(({ manifest }) =>
        manifest.hashed.rounds.some((paid) => paid.job === job && paid.round === round),
      );
      let unitsBefore = 0n;
      for (const { runner: account, units, amount } of shares) {
        const claim =
          entry && claims.find((made) => made.account === account && made.epoch >= entry.onChain.epoch);
        const anchor = claim ?? entry?.onChain ?? closing;
        const closedAt = await times(closing.block);
        lines.push({
          job,
          round,
          account,
          units: BigInt(units),
          unitsBefore,
          unitsInAll,
          budget: BigInt(budget),
          amount: BigInt(amount),
          ...stateOf({ claimed: claim !== undefined, entry: entry?.onChain, final: closedAt + window, now }),
          epoch: entry?.onChain.epoch ?? null,
          transaction: anchor.transaction,
          block: anchor.block,
          at: await times(anchor.block),
        });
        unitsBefore += BigInt(units);
      }
    }
  const proofs = newestProofs(sources, epochs, now);
  const accounts = new Set([...lines.map(({ account }) => account), ...proofs.keys()]);
  const claimed = new Map<Hex, bigint>();
  for (const account of accounts) claimed.set(account, await chain.claimed(payer, account));
  return { lines, proofs, claimed };
}

function stateOf(of: {
  claimed: boolean;
  entry: ChainEpoch | undefined;
  final: number;
  now: number;
}): Pick<Earning, 'state' | 'until'> {
  if (of.claimed) return { state: 'claimed', until: null };
  if (of.entry)
    return of.entry.effectiveAt <= of.now
      ? { state: 'claimable', until: null }
      : { state: 'waiting', until: of.entry.effectiveAt };
  return of.final <= of.now ? { state: 'final', until: null } : { state: 'disputable', until: of.final };
}

/** Of the epoch that is in effect, and where none has the account yet, of the newest. */
function newestProofs(
  sources: AuditSources,
  epochs: readonly { onChain: ChainEpoch; manifest: EpochManifest }[],
  now: number,
): Map<Hex, Proof> {
  const proofs = new Map<Hex, Proof>();
  epochs.forEach(({ onChain, manifest }, i) => {
    const inEffect = onChain.effectiveAt <= now;
    const tree = epochTree(sources.hash, {
      accounts: accountsOf(epochs[i - 1]?.manifest.hashed.accounts ?? [], manifest.hashed.rounds),
    });
    sameJson(sources, `the root of epoch ${onChain.epoch}`, toHex(tree.root), onChain.root);
    for (const leaf of tree.leaves)
      if (inEffect || !proofs.get(leaf.account)?.inEffect)
        proofs.set(leaf.account, { epoch: onChain, leaf, inEffect });
  });
  return proofs;
}

function blockTimes({ chain }: AuditSources): (block: number) => Promise<number> {
  const known = new Map<number, Promise<number>>();
  return (number) => {
    const time = known.get(number) ?? chain.provider.getBlock(number).then((block) => block?.timestamp ?? 0);
    known.set(number, time);
    return time;
  };
}
