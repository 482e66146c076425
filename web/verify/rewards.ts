/** What a payer's accounts earned, recomputed from the chain's epochs, and what each was paid. */
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { verifyProof } from '#core/merkle.js';
import type { EpochView } from '#core/views.js';
import { rewardLeafHash, type ProvenRewardLeaf } from '#core/rewards.js';
import { ahead } from './ahead.js';
import type { Gateways } from './archive.js';
import type { Checks } from './checks.js';
import { claimCall, claimedCall, type ChainView, type PublishedEpoch } from './contracts.js';
import { checkEpoch, compareEpoch, findEpoch, Ledger, questionsAtOnce, type Epoch } from './epochs.js';
import { sha256 } from './sha256.js';

/** Epochs rebuilt so far. */
export interface Progress {
  done: number;
  all: number;
}

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

/**
 * However many epochs there are, one is held at a time, and the next ones' manifests are on their way meanwhile.
 * @throws Unreachable when node or archive cannot be asked
 */
export async function verifyRewards(
  checks: Checks,
  { chain, archive }: { chain: ChainView; archive: Gateways },
  payer: Hex,
  said: { epochs: readonly EpochView[] },
  tell: (progress: Progress) => void = () => undefined,
): Promise<Standing[]> {
  const onChain = await chain.rpc.chainId();
  if (!checks.same('Chain', 'chain id', 'settings | node', chain.contracts.chainId, onChain)) return [];
  const all = (await chain.epochs(payer)).sort((a, b) => a.epoch - b.epoch);
  const told = new Map(said.epochs.map((entry) => [entry.epoch, entry]));
  const onRecord = new Set(all.map(({ epoch }) => epoch));
  for (const { epoch, state } of said.epochs)
    if (state !== 'planned' && !onRecord.has(epoch))
      checks.wrong(`The API's word on epoch ${epoch}`, 'published', 'chain | API', 'not published', state);
  const ledger = new Ledger(chain);
  let before: Epoch | null = null;
  let inEffect: { published: PublishedEpoch; leaves: ProvenRewardLeaf[] } | null = null;
  const read = async (published: PublishedEpoch) => ({
    published,
    epoch: await findEpoch(archive, published),
  });
  let done = 0;
  for await (const { published, epoch } of ahead(all, questionsAtOnce, read)) {
    if (!noteManifest(checks, published, epoch)) return [];
    const leaves = await checkEpoch(checks, { archive, ledger }, { epoch, before, published, payer });
    // By the clock: a chain on which nobody sends anything answers views with an old time.
    if (published.effectiveAt <= Date.now() / 1_000) inEffect = { published, leaves };
    const view = told.get(published.epoch);
    if (view) await compareEpoch(checks, chain, view, published);
    before = epoch;
    tell({ done: ++done, all: all.length });
  }
  const claims = inEffect ? claimsOf(checks, payer, inEffect.published, inEffect.leaves) : null;
  const paid = await chain.paidBy(payer);
  return (before?.accounts ?? []).map(({ account, cumulative }) => ({
    account,
    earned: cumulative,
    paid: String(paid.get(account) ?? 0n),
    claim: claims?.get(account) ?? null,
  }));
}

function noteManifest(checks: Checks, published: PublishedEpoch, epoch: Epoch | null): epoch is Epoch {
  const group = `Epoch ${published.epoch}`;
  const { manifestHash } = published;
  if (epoch)
    checks.same(group, 'manifest', 'chain | SHA-256 of the archived manifest', manifestHash, manifestHash);
  else checks.wrong(group, 'manifest', 'chain | archive', manifestHash, 'no archived manifest has this hash');
  return epoch !== null;
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
