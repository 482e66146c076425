import { canonicalBytes } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import {
  epochManifest,
  manifestHash,
  roundManifest,
  type EpochManifest,
  largestManifest,
} from '#core/manifest.js';
import { creditsOf, type CreditMessage, type TransactionRecord } from '#core/messages.js';
import { accountsOf, epochTree } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import type { EpochView, JobView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import type { EpochPlan } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { owedRounds, type OwedRound } from './owedRounds.js';

type PaidRound = EpochManifest['hashed']['rounds'][number];

/**
 * An epoch's tree, recomputed from the manifests that the chain names for every final round which no earlier
 * epoch paid. Null when there is nothing to pay. An epoch that was planned before is never planned differently.
 * The credits in the table are an index: a missing one is rung again, a differing one stops the settlement.
 * @throws SETTLEMENT_MISMATCH, UNAVAILABLE while rounds are open to dispute or credits on their way
 */
export async function planEpoch(
  deps: Dependencies,
  payer: Hex,
  epoch: number,
): Promise<EpochPlan | 'unreleased' | null> {
  const waiting = (await deps.table.listWaiting('settlement', new Date().toISOString(), 1_000)).filter(
    ({ coordinator }) => coordinator === payer,
  );
  const views = await deps.table.listEpochs(payer);
  const history = await earlierEpochs(deps, views, payer, epoch);
  const planned = views.find((view) => view.epoch === epoch);
  const owed = await owedRounds(deps, payer);
  if (!planned && owed.some(({ state }) => state === 'unreleased')) return 'unreleased';
  const manifest = planned
    ? parseMessage(epochManifest, await archivedJson(deps, planned.archive), `epoch ${epoch}`)
    : await newManifest(deps, { payer, epoch, owed }, history, waiting);
  const jobs = settledBy(waiting, owed, manifest ? [...history, manifest] : history);
  if (!manifest) {
    for (const job of jobs) await deps.table.settleJob(job, epoch - 1);
    return null;
  }
  const { root, total, accounts } = manifest.hashed;
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
  const plan: EpochPlan = {
    payer,
    epoch,
    root,
    leaves: accounts.length,
    total,
    manifestHash: hash,
    archive: id,
    file,
    jobs,
    windowSeconds: deps.windowSeconds,
  };
  await deps.table.projectEpoch(epochView(plan, 'planned', null));
  return plan;
}

export async function finishEpoch(
  deps: Dependencies,
  { plan, transaction, effective }: { plan: EpochPlan; transaction: TransactionRecord; effective: boolean },
): Promise<void> {
  await deps.table.projectEpoch(epochView(plan, effective ? 'effective' : 'published', transaction));
  if (effective) for (const job of plan.jobs) await deps.table.settleJob(job, plan.epoch);
}

const epochSequence = { planned: 1, published: 2, effective: 3 } as const;

function epochView(
  plan: EpochPlan,
  state: EpochView['state'],
  transaction: TransactionRecord | null,
): EpochView {
  const { jobs: _jobs, windowSeconds: _window, ...fields } = plan;
  return { ...fields, seq: epochSequence[state], updatedAt: new Date().toISOString(), state, transaction };
}

async function newManifest(
  deps: Dependencies,
  { payer, epoch, owed }: { payer: Hex; epoch: number; owed: readonly OwedRound[] },
  history: readonly EpochManifest[],
  waiting: readonly JobView[],
): Promise<EpochManifest | null> {
  const previous = history.at(-1);
  const due = await finalRounds(deps, owed, paidRounds(history), waiting);
  if (due.length === 0) return null;
  await matchCredits(deps, payer, due);
  const tree = epochTree(sha256, { accounts: accountsOf(previous?.hashed.accounts ?? [], due) });
  return {
    hashed: {
      kind: 'epoch',
      protocol: 1,
      payer,
      domain: deps.domain,
      epoch,
      previousManifest: previous ? manifestHash(sha256, previous) : ZERO_HASH,
      root: toHex(tree.root),
      total: String(tree.leaves.reduce((sum, leaf) => sum + leaf.cumulative, 0n)),
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
}

function paidRounds(history: readonly EpochManifest[]): Set<string> {
  return new Set(history.flatMap(({ hashed }) => hashed.rounds.map(roundKey)));
}

/** Ended jobs of which every round that this payer owes has been paid. */
function settledBy(
  waiting: readonly JobView[],
  owed: readonly OwedRound[],
  history: readonly EpochManifest[],
): Hex[] {
  const paid = paidRounds(history);
  const open = new Set(owed.flatMap((round) => (paid.has(roundKey(round)) ? [] : [round.job])));
  return waiting.flatMap(({ job }) => (open.has(job) ? [] : [job]));
}

const shareKey = (of: { job: Hex; round: number; runner: Hex }) => `${roundKey(of)}/${of.runner}`;
const roundKey = ({ job, round }: { job: Hex; round: number }) => `${job}/${round}`;

/** The manifests of all epochs before this one, each as the table remembers it and the chain confirms it. */
async function earlierEpochs(
  deps: Dependencies,
  views: readonly EpochView[],
  payer: Hex,
  epoch: number,
): Promise<EpochManifest[]> {
  const onChain = await deps.chain.epochs(payer);
  const manifests: EpochManifest[] = [];
  for (let number = 1; number < epoch; number++) {
    const view = views.find((candidate) => candidate.epoch === number);
    const published = onChain.find((candidate) => candidate.epoch === number);
    if (!view || !published)
      throw new RoundtableError(
        'UNAVAILABLE',
        `Epoch ${number} is not published yet; epoch ${epoch} waits for it.`,
      );
    const manifest = parseMessage(epochManifest, await archivedJson(deps, view.archive), `epoch ${number}`);
    const hash = manifestHash(sha256, manifest);
    if (hash !== published.manifestHash)
      mismatch(
        `the manifest of epoch ${number} hashes to ${hash}, and the chain has ${published.manifestHash}`,
      );
    manifests.push(manifest);
  }
  return manifests;
}

/**
 * Owed rounds that no epoch has paid and whose budgets are in the payer's purse.
 * @throws UNAVAILABLE while a round of a job that ended can still be disputed, or its release undone
 */
async function finalRounds(
  deps: Dependencies,
  owed: readonly OwedRound[],
  paid: ReadonlySet<string>,
  ended: readonly JobView[],
): Promise<PaidRound[]> {
  const due: PaidRound[] = [];
  for (const { job, round, state, closing } of owed) {
    if (paid.has(roundKey({ job, round }))) continue;
    if (state !== 'released') {
      if (!ended.some((view) => view.job === job)) continue;
      throw new RoundtableError(
        'UNAVAILABLE',
        state === 'disputable'
          ? `Round ${round} of job ${job} can still be disputed; its epoch waits.`
          : `The release of round ${round} of job ${job} is not deep enough in the chain; its epoch waits.`,
      );
    }
    const manifest = parseMessage(
      roundManifest,
      await archivedJson(deps, closing.archiveId),
      `manifest of round ${round} of job ${job}`,
    );
    const hash = manifestHash(sha256, manifest);
    if (hash !== closing.manifestHash)
      mismatch(`manifest ${closing.archiveId} hashes to ${hash}, and the chain has ${closing.manifestHash}`);
    due.push({
      job,
      round,
      manifestHash: hash,
      manifest: closing.archiveId,
      shares: manifest.hashed.rewards.shares,
    });
  }
  return due.sort((a, b) => (a.job === b.job ? a.round - b.round : a.job < b.job ? -1 : 1));
}

/** Rings again for credits that are missing. @throws UNAVAILABLE while any is, SETTLEMENT_MISMATCH for one that differs */
export async function matchCredits(
  deps: Pick<Dependencies, 'table' | 'credits'>,
  payer: Hex,
  due: readonly PaidRound[],
): Promise<void> {
  const credited = new Map((await deps.table.listCredits(payer)).map((credit) => [shareKey(credit), credit]));
  const missing: CreditMessage[] = [];
  for (const { shares, ...of } of due)
    for (const expected of creditsOf({ payer, ...of }, shares)) {
      const { job, round, runner, amount, manifestHash } = expected;
      const credit = credited.get(shareKey(expected));
      if (!credit) missing.push(expected);
      else if (credit.amount !== amount || credit.manifestHash !== manifestHash)
        mismatch(
          `runner ${runner} was credited ${credit.amount} for round ${round} of job ${job}, and its manifest says ${amount}`,
        );
    }
  if (missing.length === 0) return;
  await deps.credits.sendAll(missing);
  throw new RoundtableError(
    'UNAVAILABLE',
    `${missing.length} contributions are not credited yet; they were rung again.`,
  );
}

async function archivedJson(deps: Dependencies, id: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await deps.archive.get(id, largestManifest)));
}

function mismatch(what: string): never {
  throw new RoundtableError(
    'SETTLEMENT_MISMATCH',
    `The settlement was stopped before anything was paid: ${what}.`,
  );
}
