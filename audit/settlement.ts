/** What a payer's epochs owe and what was claimed, recomputed from the rounds that the chain knows. */
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import {
  epochManifest,
  manifestHash,
  roundManifest,
  type EpochManifest,
  largestManifest,
} from '#core/manifest.js';
import { epochTree, type AccountRewards } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import type { ChainClosing, ChainEpoch } from '#services/chain.js';
import { same, Wrong, type Checklist } from './checklist.js';
import { parseJson, sameJson } from './documents.js';
import type { AuditSources } from './sources.js';

type Epoch = EpochManifest['hashed'];

/** @throws AuditStopped at the first epoch or claim that is wrong */
export async function checkSettlement(list: Checklist, sources: AuditSources, payer: Hex): Promise<Epoch[]> {
  const published = (await sources.chain.epochs(payer)).sort((a, b) => a.epoch - b.epoch);
  const paid = new Set<string>();
  const closings = new Map<Hex, ChainClosing[]>();
  const epochs: Epoch[] = [];
  for (const onChain of published) {
    const before = epochs.at(-1);
    epochs.push(await checkEpoch(list, sources, onChain, before, paid, closings));
  }
  await checkClaims(list, sources, payer, epochs);
  return epochs;
}

/**
 * The manifest of an epoch, found in the archive by the hash that the chain has.
 * @throws Wrong when the archive lists none with that hash
 */
export async function findEpochManifest(sources: AuditSources, onChain: ChainEpoch): Promise<EpochManifest> {
  const records = await sources.archive.find({
    'App-Name': 'Roundtable',
    Kind: 'epoch',
    'Manifest-Hash': onChain.manifestHash,
  });
  for (const { id } of records) {
    const parsed = epochManifest.safeParse(parseJson(await sources.archive.get(id, largestManifest), id));
    if (parsed.success && manifestHash(sources.hash, parsed.data) === onChain.manifestHash)
      return parsed.data;
  }
  throw new Wrong(
    `the archive lists no manifest of epoch ${onChain.epoch} with the hash ${onChain.manifestHash}`,
  );
}

async function checkEpoch(
  list: Checklist,
  sources: AuditSources,
  onChain: ChainEpoch,
  before: Epoch | undefined,
  paid: Set<string>,
  closings: Map<Hex, ChainClosing[]>,
): Promise<Epoch> {
  const subject = `epoch ${onChain.epoch}`;
  const epoch = await list.check(
    subject,
    'manifest',
    "found by its hash; SHA-256 against the chain's",
    async () => {
      const { hashed } = await findEpochManifest(sources, onChain);
      same('the payer', hashed.payer, onChain.payer);
      same('the number', hashed.epoch, onChain.epoch);
      same(
        'the epoch before',
        hashed.previousManifest,
        before ? manifestHash(sources.hash, { hashed: before }) : ZERO_HASH,
      );
      return hashed;
    },
  );
  await list.check(
    subject,
    'rounds',
    'shares against the manifests that the chain names, each paid once',
    async (say) => {
      for (const entry of epoch.rounds) {
        const key = `${entry.job}/${entry.round}`;
        if (paid.has(key)) throw new Wrong(`round ${entry.round} of job ${entry.job} is paid twice`);
        paid.add(key);
        const closing = await closingOf(sources, closings, onChain.payer, entry);
        same(`the manifest of round ${entry.round}`, entry.manifestHash, closing.manifestHash);
        const bytes = await sources.archive.get(closing.archiveId, largestManifest);
        const manifest = parseMessage(roundManifest, parseJson(bytes, closing.archiveId), 'The manifest');
        same('its hash', manifestHash(sources.hash, manifest), closing.manifestHash);
        sameJson(sources, `the shares of round ${entry.round}`, entry.shares, manifest.hashed.rewards.shares);
      }
      say(`${epoch.rounds.length} rounds`);
    },
  );
  await list.check(subject, 'tree', "accounts recomputed; root and total against the chain's", (say) => {
    const tree = epochTree(sources.hash, { accounts: accountsOf(before, epoch) });
    const total = tree.leaves.reduce((sum, { cumulative }) => sum + cumulative, 0n);
    tree.leaves.forEach((leaf, i) => {
      const written = epoch.accounts[i];
      same(`account ${i}`, written?.account, leaf.account);
      same(`the cumulative of ${leaf.account}`, written?.cumulative, String(leaf.cumulative));
      same(`the previous of ${leaf.account}`, written?.previous, String(leaf.previous));
      same(`the deltas of ${leaf.account}`, written?.deltaRoot, toHex(leaf.deltaRoot));
    });
    same('the number of accounts', epoch.accounts.length, tree.leaves.length);
    same('the root', onChain.root, toHex(tree.root));
    same('the root in the manifest', epoch.root, onChain.root);
    same('the total', onChain.total, total);
    same('the number of leaves', onChain.leaves, tree.leaves.length);
    say(`${tree.leaves.length} accounts`);
  });
  return epoch;
}

/** The cumulative sums of the epoch before, and what this one's rounds add. */
export function accountsOf(before: Epoch | undefined, epoch: Epoch): AccountRewards[] {
  const accounts = new Map<Hex, AccountRewards>();
  for (const { account, cumulative } of before?.accounts ?? [])
    accounts.set(account, {
      account,
      cumulative: BigInt(cumulative),
      previous: BigInt(cumulative),
      deltas: [],
    });
  for (const { job, round, shares } of epoch.rounds)
    for (const { runner, amount } of shares) {
      const known = accounts.get(runner) ?? { account: runner, cumulative: 0n, previous: 0n, deltas: [] };
      accounts.set(runner, {
        ...known,
        cumulative: known.cumulative + BigInt(amount),
        deltas: [...known.deltas, { job, round, amount: BigInt(amount) }],
      });
    }
  return [...accounts.values()];
}

async function checkClaims(
  list: Checklist,
  sources: AuditSources,
  payer: Hex,
  epochs: readonly Epoch[],
): Promise<void> {
  await list.check(
    'claims',
    'payments',
    'each claim against the epoch it names, sums against storage',
    async (say) => {
      const claims = await sources.chain.claims(payer);
      const received = new Map<Hex, bigint>();
      for (const { account, epoch: number, amount } of claims) {
        const owed = epochs
          .find(({ epoch }) => epoch === number)
          ?.accounts.find((entry) => entry.account === account);
        const sum = (received.get(account) ?? 0n) + amount;
        same(
          `what ${account} had received after claiming epoch ${number}`,
          sum,
          BigInt(owed?.cumulative ?? 0),
        );
        received.set(account, sum);
      }
      for (const [account, sum] of received)
        same(`what ${account} was paid`, await sources.chain.claimed(payer, account), sum);
      say(`${claims.length} claims`);
    },
  );
}

async function closingOf(
  sources: AuditSources,
  known: Map<Hex, ChainClosing[]>,
  payer: Hex,
  { job, round }: { job: Hex; round: number },
): Promise<ChainClosing> {
  let closings = known.get(job);
  if (!closings) {
    same(`the coordinator of job ${job}`, (await sources.chain.job(job))?.coordinator, payer);
    closings = (await sources.chain.rounds(job)).flatMap(({ closing }) => (closing ? [closing] : []));
    known.set(job, closings);
  }
  const found = closings.find((closing) => closing.round === round);
  if (!found) throw new Wrong(`round ${round} of job ${job} is paid, but the chain has not closed it`);
  return found;
}
