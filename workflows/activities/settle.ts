import { canonicalBytes } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { epochManifest, manifestHash, roundManifest, type EpochManifest } from '#core/manifest.js';
import type { TransactionRecord } from '#core/messages.js';
import { epochTree, type AccountRewards } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import { finalJobStates } from '#core/views.js';
import { bytes32ToArchiveId } from '#services/archiveId.js';
import { sha256 } from '#services/sha256.js';
import type { EpochPlan } from '../types.js';
import type { Dependencies } from './dependencies.js';

type PaidRound = EpochManifest['hashed']['rounds'][number];

/**
 * An epoch's tree, recomputed from the manifests that the chain names for every final round which no earlier
 * epoch paid. Null when there is nothing to pay. The credits in the table are an index: a missing one is rung
 * again, a differing one stops the settlement.
 * @throws SETTLEMENT_MISMATCH, UNAVAILABLE while credits are on their way
 */
export async function planEpoch(deps: Dependencies, payer: Hex, epoch: number): Promise<EpochPlan | null> {
  const history = await earlierEpochs(deps, payer, epoch);
  const previous = history.at(-1);
  const paid = new Set(history.flatMap(({ hashed }) => hashed.rounds.map(roundKey)));
  const due = await finalRounds(deps, payer, paid);
  const jobs = (await deps.table.listJobs())
    .filter(({ state, settledEpoch }) => finalJobStates.includes(state) && settledEpoch === null)
    .map(({ job }) => job);
  if (due.length === 0) {
    for (const job of jobs) await deps.table.settleJob(job, epoch - 1);
    return null;
  }
  await matchCredits(deps, payer, due);
  const tree = epochTree(sha256, { accounts: accountsOf(previous, due) });
  const total = tree.leaves.reduce((sum, leaf) => sum + leaf.cumulative, 0n);
  const manifest: EpochManifest = {
    hashed: {
      kind: 'epoch',
      protocol: 1,
      payer,
      domain: deps.domain,
      epoch,
      previousManifest: previous ? manifestHash(sha256, previous) : ZERO_HASH,
      root: toHex(tree.root),
      total: String(total),
      rounds: due,
      accounts: tree.leaves.map(({ account, cumulative, previous: before, deltaRoot }) => ({
        account,
        cumulative: String(cumulative),
        previous: String(before),
        deltaRoot: toHex(deltaRoot),
      })),
    },
    measured: {},
  };
  const bytes = canonicalBytes(manifest);
  const hash = manifestHash(sha256, manifest);
  const [file, { id }] = await Promise.all([
    deps.artifacts.put(bytes),
    deps.archive.put(bytes, {
      'App-Name': 'Roundtable',
      'Content-Type': 'application/json',
      Kind: 'epoch',
      Payer: payer,
      Epoch: String(epoch),
      'Manifest-Hash': hash,
    }),
  ]);
  return {
    payer,
    epoch,
    root: toHex(tree.root),
    leaves: tree.leaves.length,
    total: String(total),
    manifestHash: hash,
    archive: id,
    file,
    jobs: [...new Set([...jobs.filter((job) => due.some((round) => round.job === job)), ...jobs])],
    windowSeconds: deps.windowSeconds,
  };
}

export async function finishEpoch(
  deps: Dependencies,
  { plan, transaction, effective }: { plan: EpochPlan; transaction: TransactionRecord; effective: boolean },
): Promise<void> {
  await deps.table.projectEpoch({
    seq: effective ? 2 : 1,
    updatedAt: new Date().toISOString(),
    payer: plan.payer,
    epoch: plan.epoch,
    state: effective ? 'effective' : 'published',
    root: plan.root,
    total: plan.total,
    leaves: plan.leaves,
    manifestHash: plan.manifestHash,
    archive: plan.archive,
    file: plan.file,
    transaction,
  });
  if (effective) for (const job of plan.jobs) await deps.table.settleJob(job, plan.epoch);
}

const roundKey = ({ job, round }: { job: Hex; round: number }) => `${job}/${round}`;

/** The manifests of all epochs before this one, each as the table remembers it and the chain confirms it. */
async function earlierEpochs(deps: Dependencies, payer: Hex, epoch: number): Promise<EpochManifest[]> {
  const views = (await deps.table.listEpochs(payer)).sort((a, b) => a.epoch - b.epoch);
  const manifests: EpochManifest[] = [];
  for (let number = 1; number < epoch; number++) {
    const view = views.find((candidate) => candidate.epoch === number);
    const published = await deps.chain.epoch(payer, number);
    if (!view || !published)
      throw new RoundtableError('UNAVAILABLE', `Epoch ${number} is not published yet; epoch ${epoch} waits for it.`);
    const manifest = parseMessage(epochManifest, await archivedJson(deps, view.archive), `epoch ${number}`);
    const hash = manifestHash(sha256, manifest);
    if (hash !== published.manifestHash)
      mismatch(`the manifest of epoch ${number} hashes to ${hash}, and the chain has ${published.manifestHash}`);
    manifests.push(manifest);
  }
  return manifests;
}

async function finalRounds(deps: Dependencies, payer: Hex, paid: ReadonlySet<string>): Promise<PaidRound[]> {
  const due: PaidRound[] = [];
  const now = Math.floor(Date.now() / 1000);
  for (const job of await deps.chain.jobsOf(payer))
    for (const closed of await deps.chain.closedRounds(job.job)) {
      if (paid.has(roundKey(closed)) || closed.closedAt + deps.windowSeconds > now) continue;
      const manifestId = bytes32ToArchiveId(closed.arweaveId);
      const manifest = parseMessage(
        roundManifest,
        await archivedJson(deps, manifestId),
        `manifest of round ${closed.round} of job ${closed.job}`,
      );
      const hash = manifestHash(sha256, manifest);
      if (hash !== closed.manifestHash)
        mismatch(`manifest ${manifestId} hashes to ${hash}, and the chain has ${closed.manifestHash}`);
      due.push({
        job: closed.job,
        round: closed.round,
        manifestHash: hash,
        manifest: manifestId,
        shares: manifest.hashed.rewards.shares,
      });
    }
  return due.sort((a, b) => (a.job === b.job ? a.round - b.round : a.job < b.job ? -1 : 1));
}

async function matchCredits(deps: Dependencies, payer: Hex, due: readonly PaidRound[]): Promise<void> {
  const key = (of: { job: Hex; round: number; runner: Hex }) => `${roundKey(of)}/${of.runner}`;
  const credited = new Map((await deps.table.listCredits(payer)).map((credit) => [key(credit), credit]));
  let rung = 0;
  for (const { job, round, shares, manifestHash } of due)
    for (const { runner, units, amount } of shares) {
      const credit = credited.get(key({ job, round, runner }));
      if (!credit) {
        rung++;
        await deps.credits.send({ type: 'credit', payer, job, round, runner, units, amount, manifestHash });
      } else if (credit.amount !== amount || credit.manifestHash !== manifestHash)
        mismatch(`runner ${runner} was credited ${credit.amount} for round ${round} of job ${job}, and its manifest says ${amount}`);
    }
  if (rung > 0)
    throw new RoundtableError('UNAVAILABLE', `${rung} contributions are not credited yet; they were rung again.`);
}

/** Every account's cumulative sum: what the epoch before says, and what this one adds. */
function accountsOf(previous: EpochManifest | undefined, due: readonly PaidRound[]): AccountRewards[] {
  const accounts = new Map<Hex, AccountRewards>();
  for (const { account, cumulative } of previous?.hashed.accounts ?? [])
    accounts.set(account, { account, cumulative: BigInt(cumulative), previous: BigInt(cumulative), deltas: [] });
  for (const { job, round, shares } of due)
    for (const { runner, amount } of shares) {
      const entry = accounts.get(runner) ?? { account: runner, cumulative: 0n, previous: 0n, deltas: [] };
      accounts.set(runner, {
        ...entry,
        cumulative: entry.cumulative + BigInt(amount),
        deltas: [...entry.deltas, { job, round, amount: BigInt(amount) }],
      });
    }
  return [...accounts.values()];
}

async function archivedJson(deps: Dependencies, id: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await deps.archive.get(id)));
}

function mismatch(what: string): never {
  throw new RoundtableError('SETTLEMENT_MISMATCH', `The settlement was stopped before anything was paid: ${what}.`);
}
