import { findEpochManifest } from '#audit/settlement.js';
import type { AuditSources } from '#audit/sources.js';
import type { Wallet } from 'ethers';
import { hashJson } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { accountsOf, epochTree, type ProvenRewardLeaf } from '#core/rewards.js';
import type { Chain } from '#services/chain.js';
import { chainCalls } from '#services/chainCalls.js';
import { createSender } from '#services/chainSender.js';
import type { IntentStore } from '#services/intentBook.js';
import type { Traces } from '#services/telemetry/traces.js';
import { readWallet } from '../api.js';

export interface Claimed {
  account: Hex;
  /** Token units paid by this claim; 0 when nothing was left to claim. */
  amount: bigint;
  transaction: Hex | null;
  /** This account's part of the transaction's gas, rounded up. */
  gas: number | null;
}

/** Leaves of one claimMany: some 7 million gas, which fits into a block of every chain in the table. */
const mostTogether = 100;

/**
 * Claims for each account what it earned in the epoch that is in effect and was not paid yet: one transaction for all
 * of them, signed by the account that has the most ether, since a claim pays whoever earned and not whoever sends it.
 * Claims are cumulative: repeating this, also after a crash, pays nothing twice.
 * @param accounts each with the file of its key
 * @param intents where what is signed is kept
 * @param traces of each job whose rounds the epoch pays, shown the claim
 * @throws SETTLEMENT_MISMATCH when archive and chain disagree about what is owed
 */
export async function claimRewards(
  sources: AuditSources,
  payer: Hex,
  accounts: readonly { account: Hex; keyFile: string }[],
  intents: IntentStore,
  traces: Traces,
): Promise<Claimed[]> {
  const { chain, hash } = sources;
  const inEffect = await epochInEffect(chain, payer);
  const { leaves, jobs } =
    inEffect === 0 ? { leaves: [], jobs: [] } : await provenLeaves(sources, payer, inEffect);
  const due: { leaf: ProvenRewardLeaf; amount: bigint }[] = [];
  for (const leaf of leaves) {
    if (!accounts.some(({ account }) => account === leaf.account)) continue;
    const amount = leaf.cumulative - (await chain.claimed(payer, leaf.account));
    if (amount > 0n) due.push({ leaf, amount });
  }
  const claimed = new Map<Hex, Claimed>();
  if (due.length > 0) {
    const wallet = await richest(chain, accounts);
    const sender = createSender({ chain, wallet, intents });
    const { rewards } = chainCalls(chain.deployment);
    for (let from = 0; from < due.length; from += mostTogether) {
      const batch = due.slice(from, from + mostTogether);
      const what = {
        payer,
        epoch: inEffect,
        leaves: batch.map(({ leaf }) => [leaf.account, String(leaf.cumulative)]),
      };
      const [first] = batch;
      const call =
        batch.length === 1 && first
          ? rewards.claim(payer, inEffect, first.leaf)
          : rewards.claimMany(
              payer,
              inEffect,
              batch.map(({ leaf }) => leaf),
            );
      const start = Date.now();
      const sent = await sender.send(`claim/${payer}/${inEffect}/${hashJson(hash, what)}`, call);
      const attributes = { transactions: [sent.hash], accounts: batch.length, epoch: inEffect };
      for (const job of jobs)
        traces.record({ name: 'claim', of: { job }, start, end: Date.now(), attributes });
      const gas = Math.ceil(Number(sent.gasUsed) / batch.length);
      for (const { leaf, amount } of batch)
        claimed.set(leaf.account, { account: leaf.account, amount, transaction: sent.hash, gas });
    }
  }
  return accounts.map(
    ({ account }) => claimed.get(account) ?? { account, amount: 0n, transaction: null, gas: null },
  );
}

async function richest(
  chain: Chain,
  accounts: readonly { account: Hex; keyFile: string }[],
): Promise<Wallet> {
  const balances = await Promise.all(
    accounts.map(async ({ account, keyFile }) => ({
      keyFile,
      ether: await chain.provider.getBalance(account),
    })),
  );
  const [first] = balances.sort((a, b) => (a.ether < b.ether ? 1 : -1));
  return readWallet(first?.keyFile ?? '');
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

/** The leaves of an epoch with their proofs, recomputed from its manifest and the one before; and the jobs it pays. */
export async function provenLeaves(
  sources: AuditSources,
  payer: Hex,
  number: number,
): Promise<{ leaves: ProvenRewardLeaf[]; jobs: Hex[] }> {
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
  const tree = epochTree(sources.hash, {
    accounts: accountsOf(previous?.hashed.accounts ?? [], manifest.hashed.rounds),
  });
  if (toHex(tree.root) !== onChain.root)
    throw new RoundtableError(
      'SETTLEMENT_MISMATCH',
      `The manifest of epoch ${number} gives another root than the chain has; \`roundtable model verify --all\` says where they part.`,
    );
  return { leaves: tree.leaves, jobs: [...new Set(manifest.hashed.rounds.map(({ job }) => job))] };
}
