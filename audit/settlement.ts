/** What a payer's epochs owe and what was claimed, recomputed from the rounds that the chain knows. */
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import {
  epochManifest,
  manifestHash,
  roundManifest,
  type EpochManifest,
  largestManifest,
  type RoundManifest,
} from '#core/manifest.js';
import { accountsOf, epochTree } from '#core/rewards.js';
import type { ChainClosing, ChainEpoch, ChainRound } from '#services/chain.js';
import { same, Wrong, type Checklist } from './checklist.js';
import { parseJson, readManifest, sameJson } from './documents.js';
import type { AuditChain, AuditSources } from './sources.js';

type Epoch = EpochManifest['hashed'];

/** Shares of rounds that were verified before, by `JOB/ROUND`: their manifests need not be fetched again. */
export type VerifiedShares = ReadonlyMap<string, { manifestHash: Hex; shares: Shares }>;
type Shares = RoundManifest['hashed']['rewards']['shares'];

/**
 * What each payer's epochs owe, and what was claimed of it. No round is paid twice, by whomever.
 * @throws AuditStopped at the first epoch or claim that is wrong
 */
export async function checkSettlements(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  payers: readonly Hex[],
  verified: VerifiedShares,
): Promise<void> {
  const rounds = new PaidRounds(sources, verified);
  for (const payer of payers) {
    const published = (await sources.chain.epochs(payer)).sort((a, b) => a.epoch - b.epoch);
    const epochs: Epoch[] = [];
    for (const onChain of published) {
      const own = list.at({ epoch: onChain.epoch });
      epochs.push(await checkEpoch(own, sources, onChain, epochs.at(-1), rounds));
    }
    await checkClaims(list, sources, payer, epochs);
  }
}

/** The manifest of an epoch. @throws Wrong as findEpoch */
export async function findEpochManifest(
  sources: Pick<AuditSources, 'archive' | 'hash'>,
  onChain: Pick<ChainEpoch, 'epoch' | 'manifestHash'>,
): Promise<EpochManifest> {
  return (await findEpoch(sources, onChain)).manifest;
}

/**
 * The manifest of an epoch, found in the archive by the hash that the chain has: whoever archived it, it says the same.
 * @throws Wrong when the archive lists none with that hash
 */
export async function findEpoch(
  sources: Pick<AuditSources, 'archive' | 'hash'>,
  onChain: Pick<ChainEpoch, 'epoch' | 'manifestHash'>,
): Promise<{ id: string; manifest: EpochManifest }> {
  const records = await sources.archive.find({
    'App-Name': 'Roundtable',
    Kind: 'epoch',
    'Manifest-Hash': onChain.manifestHash,
  });
  // The oldest copy first: it is the one that the payer's stack knows.
  for (const { id } of records.toReversed()) {
    const parsed = epochManifest.safeParse(parseJson(await sources.archive.get(id, largestManifest), id));
    if (parsed.success && manifestHash(sources.hash, parsed.data) === onChain.manifestHash)
      return { id, manifest: parsed.data };
  }
  throw new Wrong(
    `the archive lists no manifest of epoch ${onChain.epoch} with the hash ${onChain.manifestHash}`,
  );
}

async function checkEpoch(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  onChain: ChainEpoch,
  before: Epoch | undefined,
  rounds: PaidRounds,
): Promise<Epoch> {
  const subject = `epoch ${onChain.epoch}`;
  const found = "found by its hash; SHA-256 against the chain's";
  const epoch = await list.check(subject, 'manifest', found, async () => {
    const { hashed } = await findEpochManifest(sources, onChain);
    same('the payer', hashed.payer, onChain.payer);
    same('the number', hashed.epoch, onChain.epoch);
    const previous = before ? manifestHash(sources.hash, { hashed: before }) : ZERO_HASH;
    same('the epoch before', hashed.previousManifest, previous);
    return hashed;
  });
  const shares = 'shares against the manifests that the chain names, each paid once';
  await list.check(subject, 'rounds', shares, async (say) => {
    for (const entry of epoch.rounds) await rounds.pay(onChain.payer, entry);
    say(`${epoch.rounds.length} rounds`);
  });
  await list.check(subject, 'tree', "accounts recomputed; root and total against the chain's", (say) => {
    const tree = epochTree(sources.hash, { accounts: accountsOf(before?.accounts ?? [], epoch.rounds) });
    const total = tree.leaves.reduce((sum, { cumulative }) => sum + cumulative, 0n);
    tree.leaves.forEach((leaf, i) => {
      const written = epoch.accounts[i];
      const place = { runner: leaf.account };
      same(`account ${i}`, written?.account, leaf.account, place);
      same(`the cumulative of ${leaf.account}`, written?.cumulative, String(leaf.cumulative), place);
      same(`the previous of ${leaf.account}`, written?.previous, String(leaf.previous), place);
      same(`the deltas of ${leaf.account}`, written?.deltaRoot, toHex(leaf.deltaRoot), place);
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

/** Which rounds were paid so far. */
class PaidRounds {
  readonly #paid = new Set<string>();
  readonly #rounds = new Map<Hex, ChainRound[]>();

  constructor(
    private readonly sources: AuditSources<AuditChain>,
    private readonly verified: VerifiedShares,
  ) {}

  /** @throws Wrong unless the round stands, was not paid before, and is paid as its manifest says */
  async pay(payer: Hex, entry: Epoch['rounds'][number]): Promise<void> {
    const { job, round } = entry;
    const place = { job, round };
    const key = `${job}/${round}`;
    if (this.#paid.has(key)) throw new Wrong(`round ${round} of job ${job} is paid twice`, place);
    this.#paid.add(key);
    const closing = await this.#closing(payer, job, round);
    same(`the manifest of round ${round}`, entry.manifestHash, closing.manifestHash, place);
    const shares = await this.#shares(key, closing);
    const due = new Map(shares.map((share) => [share.runner, share]));
    for (const { runner, amount } of entry.shares)
      same(`the share of ${runner} in round ${round}`, amount, due.get(runner)?.amount, { ...place, runner });
    sameJson(this.sources, `the shares of round ${round}`, entry.shares, shares);
  }

  async #shares(key: string, { archiveId, manifestHash: hash }: ChainClosing): Promise<Shares> {
    const known = this.verified.get(key);
    if (known?.manifestHash === hash) return known.shares;
    const { hashed } = await readManifest(this.sources, { schema: roundManifest, archiveId, hash });
    return hashed.rewards.shares;
  }

  async #closing(payer: Hex, job: Hex, round: number): Promise<ChainClosing> {
    const { chain } = this.sources;
    const place = { job, round };
    let rounds = this.#rounds.get(job);
    if (!rounds) this.#rounds.set(job, (rounds = await chain.rounds(job)));
    // After a take-over the purse of the new coordinator gets what was not released before.
    const owners = new Set([
      (await chain.job(job))?.coordinator,
      ...rounds.map((entry) => entry.coordinator),
    ]);
    if (!owners.has(payer))
      throw new Wrong(`the coordinator of job ${job} is ${[...owners].join(', ')}, expected ${payer}`, place);
    const found = rounds.find((entry) => entry.round === round)?.closing;
    if (!found)
      throw new Wrong(`round ${round} of job ${job} is paid, but the chain has not closed it`, place);
    return found;
  }
}

async function checkClaims(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  payer: Hex,
  epochs: readonly Epoch[],
): Promise<void> {
  const how = 'each claim against the epoch it names, sums against storage';
  await list.check('claims', 'payments', how, async (say) => {
    let claims = await sources.chain.claims(payer);
    const received = new Map<Hex, bigint>();
    for (const { account, epoch: number, amount } of claims) {
      const owed = epochs
        .find(({ epoch }) => epoch === number)
        ?.accounts.find((entry) => entry.account === account);
      const sum = (received.get(account) ?? 0n) + amount;
      const what = `what ${account} had received after claiming epoch ${number}`;
      same(what, sum, BigInt(owed?.cumulative ?? 0), { epoch: number, runner: account });
      received.set(account, sum);
    }
    for (const account of received.keys()) {
      const paid = await sources.chain.claimed(payer, account);
      // What was claimed between two questions is no lie; it is asked about again.
      if (paid !== received.get(account)) claims = await sources.chain.claims(payer);
      const sum = claims.reduce(
        (total, claim) => total + (claim.account === account ? claim.amount : 0n),
        0n,
      );
      same(`what ${account} was paid`, paid, sum, { runner: account });
    }
    say(`${claims.length} claims`);
  });
}
