import { accountsOf, findEpochManifest } from '#audit/settlement.js';
import type { AuditSources } from '#audit/sources.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { epochTree, type ProvenRewardLeaf } from '#core/rewards.js';
import type { Chain } from '#services/chain.js';
import { chainCalls } from '#services/chainCalls.js';
import { createSender } from '#services/chainSender.js';
import { memoryIntents } from '#services/memoryIntents.js';
import { readWallet } from '../api.js';

export interface Claimed {
  account: Hex;
  /** Token units paid by this claim; 0 when nothing was left to claim. */
  amount: bigint;
  transaction: Hex | null;
  gas: number | null;
}

/**
 * Claims for each account what it earned in the epoch that is in effect and was not paid yet. Claims are
 * cumulative: repeating this, also after a crash, pays nothing twice.
 * @param accounts each with the file of its key, which signs and pays for its claim
 * @throws SETTLEMENT_MISMATCH when archive and chain disagree about what is owed
 */
export async function claimRewards(
  sources: AuditSources,
  payer: Hex,
  accounts: readonly { account: Hex; keyFile: string }[],
): Promise<Claimed[]> {
  const { chain } = sources;
  const inEffect = await epochInEffect(chain, payer);
  const leaves = inEffect === 0 ? [] : await provenLeaves(sources, payer, inEffect);
  return Promise.all(
    accounts.map(async ({ account, keyFile }) => {
      const leaf = leaves.find((candidate) => candidate.account === account);
      const before = await chain.claimed(payer, account);
      if (!leaf || leaf.cumulative <= before) return { account, amount: 0n, transaction: null, gas: null };
      const call = chainCalls(chain.deployment).rewards.claim(payer, inEffect, leaf);
      const sender = createSender({ chain, wallet: readWallet(keyFile), intents: memoryIntents() });
      const { hash, gasUsed } = await sender.send(`claim ${payer} ${account} ${inEffect}`, call);
      return { account, amount: leaf.cumulative - before, transaction: hash, gas: Number(gasUsed) };
    }),
  );
}

/**
 * The epoch that a claim made now is paid by, 0 for none. By the clock: the contract's own answer is as old as the
 * newest block, and a chain on which nobody sends anything has no new ones.
 */
export async function epochInEffect(chain: Chain, payer: Hex): Promise<number> {
  const now = Date.now() / 1000;
  return Math.max(
    0,
    ...(await chain.epochs(payer)).flatMap(({ epoch, effectiveAt }) => (effectiveAt <= now ? [epoch] : [])),
  );
}

/** The leaves of an epoch with their proofs, recomputed from its manifest and the one before. */
export async function provenLeaves(
  sources: AuditSources,
  payer: Hex,
  number: number,
): Promise<ProvenRewardLeaf[]> {
  const published = await sources.chain.epochs(payer);
  const onChain = published.find(({ epoch }) => epoch === number);
  const before = published.find(({ epoch }) => epoch === number - 1);
  if (!onChain)
    throw new RoundtableError(
      'UNAVAILABLE',
      `Epoch ${number} is in effect, but its event is not there yet. Try again.`,
    );
  const [manifest, previous] = await Promise.all([
    findEpochManifest(sources, onChain),
    before ? findEpochManifest(sources, before) : undefined,
  ]);
  const tree = epochTree(sources.hash, { accounts: accountsOf(previous?.hashed, manifest.hashed) });
  if (toHex(tree.root) !== onChain.root)
    throw new RoundtableError(
      'SETTLEMENT_MISMATCH',
      `The manifest of epoch ${number} gives another root than the chain has; \`roundtable model verify --all\` says where they part.`,
    );
  return tree.leaves;
}
