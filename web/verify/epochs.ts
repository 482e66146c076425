/** One epoch of rewards: its manifest, the rounds that it pays, the tree over its accounts, the API's word on it. */
import { hashJson } from '#core/canonicalJson.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { EpochManifest, RoundManifest } from '#core/manifest.js';
import { accountsOf, epochTree, type ProvenRewardLeaf } from '#core/rewards.js';
import type { EpochView } from '#core/views.js';
import { ahead } from './ahead.js';
import type { Gateways } from './archive.js';
import type { Checks } from './checks.js';
import type { ChainView, ClosedRound, PublishedEpoch } from './contracts.js';
import { sha256 } from './sha256.js';

export type Epoch = EpochManifest['hashed'];

/** Questions to a gateway that are open at a time: a browser lets no more through. */
export const questionsAtOnce = 6;

/** The manifest with the hash that the chain has; null when no gateway has one. @throws Unreachable */
export async function findEpoch(archive: Gateways, published: PublishedEpoch): Promise<Epoch | null> {
  for (const id of await archive.findManifest('epoch', published.manifestHash)) {
    const { hashed } = (await archive.json(id)) as EpochManifest;
    if (hashJson(sha256, hashed) === published.manifestHash) return hashed;
  }
  return null;
}

/** What was read and paid already, over all epochs. */
export class Ledger {
  readonly #closed = new Map<Hex, Promise<ReadonlyMap<number, ClosedRound>>>();
  readonly #paid = new Set<string>();

  constructor(private readonly chain: ChainView) {}

  /** False when the round was paid before. */
  pay(job: Hex, round: number): boolean {
    const key = `${job}/${round}`;
    if (this.#paid.has(key)) return false;
    this.#paid.add(key);
    return true;
  }

  /** The closing of a round that counts; undefined when there is none, or only one that is void. */
  async closing(job: Hex, round: number): Promise<ClosedRound | undefined> {
    let closed = this.#closed.get(job);
    if (!closed) this.#closed.set(job, (closed = this.#read(job)));
    return (await closed).get(round);
  }

  async #read(job: Hex): Promise<ReadonlyMap<number, ClosedRound>> {
    const [rounds, latest] = await Promise.all([this.chain.closedRounds(job), this.chain.latestRound(job)]);
    // Of a number that was closed twice the first is void, and in the order of the chain the second comes later.
    return new Map(rounds.filter(({ round }) => round <= latest).map((closed) => [closed.round, closed]));
  }
}

/** @returns the leaves of the epoch, each with its proof; none when no tree can be made */
export async function checkEpoch(
  checks: Checks,
  { archive, ledger }: { archive: Gateways; ledger: Ledger },
  {
    epoch,
    before,
    published,
    payer,
  }: { epoch: Epoch; before: Epoch | null; published: PublishedEpoch; payer: Hex },
): Promise<ProvenRewardLeaf[]> {
  const group = `Epoch ${published.epoch}`;
  checks.same(group, 'payer', 'asked for | manifest', payer, epoch.payer);
  const previous = before ? hashJson(sha256, before) : ZERO_HASH;
  checks.same(group, 'epoch before', 'recomputed | manifest', previous, epoch.previousManifest);
  await checkRounds(checks, { archive, ledger }, group, epoch);
  try {
    const tree = epochTree(sha256, { accounts: accountsOf(before?.accounts ?? [], epoch.rounds) });
    const total = tree.leaves.reduce((sum, { cumulative }) => sum + cumulative, 0n);
    checks.same(group, 'root', 'chain | tree over recomputed accounts', published.root, toHex(tree.root));
    checks.same(group, 'total', 'chain | recomputed', published.total, total);
    checks.same(group, 'accounts', 'chain | recomputed', published.leaves, tree.leaves.length);
    const leaves = tree.leaves.map(({ account, cumulative }) => [account, String(cumulative)]);
    const written = epoch.accounts.map(({ account, cumulative }) => [account, cumulative]);
    checks.same(
      group,
      'leaves',
      'recomputed | manifest',
      hashJson(sha256, leaves),
      hashJson(sha256, written),
    );
    return tree.leaves;
  } catch (error) {
    checks.wrong(group, 'root', 'chain | recomputed', published.root, (error as Error).message);
    return [];
  }
}

/** Every round that an epoch pays was closed on chain, pays for the first time, and has these shares in its manifest. */
async function checkRounds(
  checks: Checks,
  { archive, ledger }: { archive: Gateways; ledger: Ledger },
  group: string,
  { rounds }: Epoch,
): Promise<void> {
  const read = async (entry: Epoch['rounds'][number]) => {
    const closed = await ledger.closing(entry.job, entry.round);
    if (!closed) return { entry, shares: null };
    const { hashed } = (await archive.json(closed.archive)) as RoundManifest;
    const genuine = hashJson(sha256, hashed) === closed.manifestHash;
    return {
      entry,
      shares: genuine ? hashJson(sha256, hashed.rewards.shares) : 'the manifest has another hash',
    };
  };
  let right = 0;
  for await (const { entry, shares } of ahead(rounds, questionsAtOnce, read)) {
    const name = `round ${entry.round} of job ${entry.job.slice(0, 10)}`;
    if (!ledger.pay(entry.job, entry.round)) checks.wrong(group, name, 'paid once', 'once', 'paid twice');
    const written = hashJson(sha256, entry.shares);
    if (shares === null)
      checks.wrong(group, name, 'RoundClosed event', 'closed on chain', 'the chain has not closed it');
    else if (shares === written) right += 1;
    else checks.wrong(group, name, 'shares in the anchored manifest | epoch', shares, written);
  }
  // One line for all that are right: an epoch may pay thousands.
  checks.same(
    group,
    'shares of its rounds',
    'rounds | those whose anchored manifest has the same shares',
    rounds.length,
    right,
  );
}

/** What the API said of an epoch that the chain knows; of one that it does not know, the page shows no root as checked. */
export async function compareEpoch(
  checks: Checks,
  chain: ChainView,
  said: EpochView,
  published: PublishedEpoch,
): Promise<void> {
  const is = (name: string, how: string, expected: unknown, got: unknown) =>
    checks.same(`The API's word on epoch ${published.epoch}`, name, `${how} | API`, expected, got);
  is('root', 'chain', published.root, said.root);
  is('total', 'chain', String(published.total), said.total);
  is('accounts', 'chain', published.leaves, said.leaves);
  is('manifest hash', 'chain', published.manifestHash, said.manifestHash);
  if (!said.transaction) return;
  is('transaction', 'chain', published.transaction, said.transaction.hash);
  const receipt = await chain.rpc.receipt(said.transaction.hash);
  is('gas', 'receipt', receipt?.gas ?? null, said.transaction.gas);
  is('block', 'receipt', receipt?.block ?? null, said.transaction.block);
}
