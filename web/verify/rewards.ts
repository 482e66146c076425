/** What a payer's accounts earned, recomputed from the chain's epochs, and what each was paid. */
import { hashJson } from '#core/canonicalJson.js';
import { fromHex, toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { EpochManifest, RoundManifest } from '#core/manifest.js';
import { verifyProof } from '#core/merkle.js';
import type { EpochView } from '#core/views.js';
import { epochTree, rewardLeafHash, type AccountRewards, type ProvenRewardLeaf } from '#core/rewards.js';
import type { Gateways } from './archive.js';
import type { Checks } from './checks.js';
import {
  claimCall,
  claimedCall,
  type ChainView,
  type ClosedRound,
  type PublishedEpoch,
} from './contracts.js';
import { sha256 } from './sha256.js';

export interface Standing {
  account: Hex;
  /** In the token's smallest unit, as decimal text. */
  earned: string;
  paid: string;
  /** Null while no epoch that has it is in effect, or when its proof does not lead to the root on chain. */
  claim: Claim | null;
}

/** An account's leaf of the epoch in effect, proved here, and the calls that it is paid with and asked for. */
export interface Claim {
  epoch: number;
  root: Hex;
  index: number;
  /** Amounts in the token's smallest unit, as decimal text. */
  cumulative: string;
  previous: string;
  totalPrefix: string;
  deltaRoot: Hex;
  proof: Hex[];
  /** Call data for the Rewards contract. */
  call: Hex;
  claimedCall: Hex;
}

type Epoch = EpochManifest['hashed'];

/** @throws Unreachable when node or archive cannot be asked */
export async function verifyRewards(
  checks: Checks,
  { chain, archive }: { chain: ChainView; archive: Gateways },
  payer: Hex,
  said: { epochs: readonly EpochView[] },
): Promise<Standing[]> {
  const onChain = await chain.rpc.chainId();
  if (!checks.same('Chain', 'chain id', 'settings | node', chain.contracts.chainId, onChain)) return [];
  const known = new Map<Hex, ClosedRound[]>();
  const paid = new Set<string>();
  let before: Epoch | null = null;
  let inEffect: { published: PublishedEpoch; leaves: ProvenRewardLeaf[] } | null = null;
  const all = (await chain.epochs(payer)).sort((a, b) => a.epoch - b.epoch);
  const onRecord = new Set(all.map(({ epoch }) => epoch));
  for (const { epoch, state } of said.epochs)
    if (state !== 'planned' && !onRecord.has(epoch))
      checks.wrong(`The API's word on epoch ${epoch}`, 'published', 'chain | API', 'not published', state);
  for (const published of all) {
    const epoch = await readEpoch(checks, archive, published);
    if (!epoch) return [];
    const leaves = await checkEpoch(
      checks,
      { chain, archive },
      { epoch, before, published, payer },
      known,
      paid,
    );
    // By the clock: a chain on which nobody sends anything answers views with an old time.
    if (published.effectiveAt <= Date.now() / 1_000) inEffect = { published, leaves };
    const told = said.epochs.find((entry) => entry.epoch === published.epoch);
    if (told) await compareEpoch(checks, chain, told, published);
    before = epoch;
  }
  const claims = inEffect ? claimsOf(checks, payer, inEffect.published, inEffect.leaves) : null;
  const accounts = before?.accounts ?? [];
  return Promise.all(
    accounts.map(async ({ account, cumulative }) => ({
      account,
      earned: cumulative,
      paid: String(await chain.claimed(payer, account)),
      claim: claims?.get(account) ?? null,
    })),
  );
}

/** Every leaf's proof, followed up to the root that the chain has. */
function claimsOf(
  checks: Checks,
  payer: Hex,
  { epoch, root, leaves: count }: PublishedEpoch,
  leaves: readonly ProvenRewardLeaf[],
): Map<Hex, Claim> {
  const claims = new Map<Hex, Claim>();
  for (const leaf of leaves) {
    const { index, account, proof } = leaf;
    const hash = rewardLeafHash(sha256, leaf);
    if (!verifyProof(sha256, fromHex(root), hash, index, count, proof)) continue;
    claims.set(account, {
      epoch,
      root,
      index,
      cumulative: String(leaf.cumulative),
      previous: String(leaf.previous),
      totalPrefix: String(leaf.totalPrefix),
      deltaRoot: toHex(leaf.deltaRoot),
      proof: proof.map((sibling) => toHex(sibling)),
      call: claimCall(payer, epoch, leaf),
      claimedCall: claimedCall(payer, account),
    });
  }
  checks.same(
    `Epoch ${epoch}`,
    'proofs',
    'leaves on chain | leaves whose proof leads to the root on chain',
    count,
    claims.size,
  );
  return claims;
}

async function readEpoch(
  checks: Checks,
  archive: Gateways,
  published: PublishedEpoch,
): Promise<Epoch | null> {
  const group = `Epoch ${published.epoch}`;
  for (const id of await archive.findManifest('epoch', published.manifestHash)) {
    const { hashed } = (await archive.json(id)) as EpochManifest;
    const hash = hashJson(sha256, hashed);
    if (hash !== published.manifestHash) continue;
    checks.same(group, 'manifest', 'chain | SHA-256 of the archived manifest', published.manifestHash, hash);
    return hashed;
  }
  checks.wrong(
    group,
    'manifest',
    'chain | archive',
    published.manifestHash,
    'no archived manifest has this hash',
  );
  return null;
}

async function checkEpoch(
  checks: Checks,
  { chain, archive }: { chain: ChainView; archive: Gateways },
  {
    epoch,
    before,
    published,
    payer,
  }: { epoch: Epoch; before: Epoch | null; published: PublishedEpoch; payer: Hex },
  known: Map<Hex, ClosedRound[]>,
  paid: Set<string>,
): Promise<ProvenRewardLeaf[]> {
  const group = `Epoch ${published.epoch}`;
  checks.same(group, 'payer', 'asked for | manifest', payer, epoch.payer);
  const previous = before ? hashJson(sha256, before) : ZERO_HASH;
  checks.same(group, 'epoch before', 'recomputed | manifest', previous, epoch.previousManifest);
  for (const entry of epoch.rounds) {
    const name = `round ${entry.round} of job ${entry.job.slice(0, 10)}`;
    const key = `${entry.job}/${entry.round}`;
    if (paid.has(key)) checks.wrong(group, name, 'paid once', 'once', 'paid twice');
    paid.add(key);
    const rounds = known.get(entry.job) ?? (await chain.closedRounds(entry.job));
    known.set(entry.job, rounds);
    const closed = rounds.find(({ round }) => round === entry.round);
    if (!closed) {
      checks.wrong(group, name, 'RoundClosed event', 'closed on chain', 'the chain has not closed it');
      continue;
    }
    const { hashed } = (await archive.json(closed.archive)) as RoundManifest;
    const genuine = hashJson(sha256, hashed) === closed.manifestHash;
    const shares = genuine ? hashJson(sha256, hashed.rewards.shares) : 'the manifest has another hash';
    checks.same(
      group,
      name,
      'shares in the anchored manifest | epoch',
      shares,
      hashJson(sha256, entry.shares),
    );
  }
  try {
    const tree = epochTree(sha256, { accounts: accountsOf(before, epoch) });
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

/** What the API said of an epoch that the chain knows; of one that it does not know, the page shows no root as checked. */
async function compareEpoch(
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

/** The cumulative sums of the epoch before, and what this one's rounds add. */
function accountsOf(before: Epoch | null, epoch: Epoch): AccountRewards[] {
  const accounts = new Map<Hex, AccountRewards>();
  for (const { account, cumulative } of before?.accounts ?? []) {
    const sum = BigInt(cumulative);
    accounts.set(account, { account, cumulative: sum, previous: sum, deltas: [] });
  }
  for (const { job, round, shares } of epoch.rounds)
    for (const { runner, amount } of shares) {
      const line = accounts.get(runner) ?? { account: runner, cumulative: 0n, previous: 0n, deltas: [] };
      const delta = { job, round, amount: BigInt(amount) };
      accounts.set(runner, {
        ...line,
        cumulative: line.cumulative + delta.amount,
        deltas: [...line.deltas, delta],
      });
    }
  return [...accounts.values()];
}
