import { creditsOf, type CreditMessage, type ModelRef, type TransactionRecord } from '#core/messages.js';
import { genesisManifest, roundManifest, type GenesisManifest, type RoundManifest } from '#core/manifest.js';
import type { JobView, RoundView, VersionView } from '#core/views.js';
import type { ChainClosing, ChainJob, ChainRound } from '#services/chain.js';
import { readManifest } from '../documents.js';
import { paidKey } from './epochs.js';
import type { Record } from './record.js';

/** All rows of one job. */
export interface JobRows {
  job: JobView;
  rounds: RoundView[];
  versions: { view: VersionView; block: number }[];
  credits: CreditMessage[];
}

/** A round that stands, with its manifest. */
interface ClosedRound {
  round: ChainRound;
  closing: ChainClosing;
  manifest: RoundManifest;
}

/**
 * @param of.baseNumber of the version that the job starts from, in its lineage
 * @param of.paid which epoch pays which round
 * @throws Wrong, ARCHIVE_UNREACHABLE when a manifest that the chain names cannot be shown
 */
export async function readJob(
  record: Record,
  job: ChainJob,
  of: { baseNumber: number; paid: ReadonlyMap<string, number> },
): Promise<JobRows> {
  const { sources } = record;
  const { archiveId, manifestHash: hash } = job;
  const genesis = await readManifest(sources, { schema: genesisManifest, archiveId, hash });
  const opened = await sources.chain.rounds(job.job);
  const closed: ClosedRound[] = [];
  for (const round of opened) {
    const { closing } = round;
    if (!closing) continue;
    const { archiveId: id, manifestHash: known } = closing;
    const manifest = await readManifest(sources, { schema: roundManifest, archiveId: id, hash: known });
    closed.push({ round, closing, manifest });
  }
  const view = await jobRow(record, job, genesis, closed, of);
  const ended = view.state !== 'running';
  return {
    job: view,
    rounds: await Promise.all([
      ...closed.map((one) => closedRow(record, one)),
      // Of a running job the workflow tells how far it is.
      ...opened.filter(({ closing }) => !closing && ended).map((round) => openRow(record, job, round)),
    ]),
    versions: await versionRows(record, job, genesis, closed, of.baseNumber),
    credits: closed.flatMap((one) => creditRows(record, one)),
  };
}

async function jobRow(
  record: Record,
  job: ChainJob,
  { hashed, measured }: GenesisManifest,
  closed: readonly ClosedRound[],
  { baseNumber, paid }: { baseNumber: number; paid: ReadonlyMap<string, number> },
): Promise<JobView> {
  const { chain } = record.sources;
  const last = closed.at(-1);
  const end = await chain.finished(job.job);
  const complete = closed.length === hashed.spec.rounds;
  const at = end?.block ?? last?.closing.block ?? job.block;
  const base = genesisModel(hashed);
  const origin = measured.origin ?? {
    trigger: 'unknown',
    delivery: null,
    createdAt: await record.timeOf(job.block),
  };
  const transactions: TransactionRecord[] = [];
  const approval = job.budget > 0n ? await chain.firstApproval(job.coordinator, chain.deployment.jobs) : null;
  if (approval) transactions.push(await record.transaction('approve', approval));
  transactions.push(await record.transaction('create', job));
  if (end && complete) transactions.push(await record.transaction('finish', end));
  const convicted = job.phase === 'convicted';
  return {
    // What the workflow writes later counts more.
    seq: closed.length + (end ? 1 : 0),
    updatedAt: await record.timeOf(at),
    job: job.job,
    state: convicted ? 'failed' : !end ? 'running' : complete ? 'done' : 'cancelled',
    ...origin,
    spec: hashed.spec,
    coordinator: job.coordinator,
    round: closed.length,
    base,
    version: last ? roundModel(last.manifest) : base,
    baseNumber,
    accuracy: (last?.manifest ?? { measured }).measured.accuracy,
    loss: (last?.manifest ?? { measured }).measured.loss,
    archive: last
      ? archiveOf(last)
      : { model: hashed.model.archive, manifest: job.archiveId, manifestHash: job.manifestHash },
    transactions,
    // A job without a budget waits for no settlement.
    settledEpoch: end && hashed.spec.rewards.budget !== '0' ? settledBy(closed, paid) : null,
    problem: convicted
      ? { code: 'CONVICTED', message: 'The chain has convicted its coordinator of a wrong round.' }
      : end && !complete
        ? {
            code: 'CANCELLED',
            message: `It ended after ${closed.length} of ${hashed.spec.rounds} rounds; why, only the lost table said.`,
          }
        : null,
  };
}

/** The epoch in which the last of a job's rounds is; null while one is in none. */
function settledBy(closed: readonly ClosedRound[], paid: ReadonlyMap<string, number>): number | null {
  const epochs = closed.map(({ closing }) => paid.get(paidKey(closing)));
  return epochs.length > 0 && epochs.every((epoch) => epoch !== undefined) ? Math.max(...epochs) : null;
}

async function closedRow(record: Record, { round, closing, manifest }: ClosedRound): Promise<RoundView> {
  const { hashed, measured } = manifest;
  const { job, opening, headers } = { job: closing.job, ...hashed };
  return {
    seq: 0,
    updatedAt: await record.timeOf(closing.block),
    job,
    round: round.round,
    phase: 'done',
    startedAt: measured.startedAt ?? (await record.timeOf(round.block)),
    participants: opening.selection.map(({ runner }) => {
      const header = headers.find((one) => one.runner === runner);
      const told = measured.runners.find((one) => one.runner === runner);
      return {
        runner,
        state: header ? 'done' : 'missing',
        samples: header?.samples ?? null,
        loss: told?.loss ?? null,
        seconds: told?.seconds ?? null,
        bytes: told?.bytes ?? null,
      };
    }),
    missing: hashed.missing,
    accuracy: measured.accuracy,
    loss: measured.loss,
    seconds: measured.seconds,
    openHash: round.openHash,
    version: roundModel(manifest),
    rootHeader: closing.rootHeader,
    archive: archiveOf({ closing, manifest }),
    transactions: [await record.transaction('open', round), await record.transaction('close', closing)],
    problem: null,
  };
}

/** A round that was opened and never closed. */
async function openRow(record: Record, { job }: ChainJob, round: ChainRound): Promise<RoundView> {
  const startedAt = await record.timeOf(round.block);
  return {
    seq: 0,
    updatedAt: startedAt,
    job,
    round: round.round,
    phase: 'failed',
    startedAt,
    participants: [],
    missing: [],
    accuracy: null,
    loss: null,
    seconds: {},
    openHash: round.openHash,
    version: null,
    rootHeader: null,
    archive: null,
    transactions: [await record.transaction('open', round)],
    problem: { code: 'CANCELLED', message: 'It was opened and never closed; why, only the lost table said.' },
  };
}

async function versionRows(
  record: Record,
  job: ChainJob,
  { hashed, measured }: GenesisManifest,
  closed: readonly ClosedRound[],
  baseNumber: number,
): Promise<JobRows['versions']> {
  const common = { lineage: hashed.spec.name, job: job.job };
  const first: VersionView = {
    ...common,
    seq: 1,
    updatedAt: await record.timeOf(job.block),
    number: baseNumber,
    model: genesisModel(hashed),
    parent: job.parentVersion,
    round: 0,
    accuracy: measured.accuracy,
    archive: { model: hashed.model.archive, manifest: job.archiveId, manifestHash: job.manifestHash },
  };
  // A job that starts from the very version that another made adds none.
  const rows = job.parentVersion === job.genesisVersion ? [] : [{ view: first, block: job.block }];
  for (const { round, closing, manifest } of closed)
    rows.push({
      block: closing.block,
      view: {
        ...common,
        seq: round.round + 1,
        updatedAt: await record.timeOf(closing.block),
        number: baseNumber + round.round,
        model: roundModel(manifest),
        parent: manifest.hashed.base.versionId,
        round: round.round,
        accuracy: manifest.measured.accuracy,
        archive: archiveOf({ closing, manifest }),
      },
    });
  return rows;
}

const creditRows = ({ member }: Record, { closing, manifest }: ClosedRound): CreditMessage[] =>
  creditsOf({ payer: member, ...closing }, manifest.hashed.rewards.shares);

const genesisModel = ({ version, model }: GenesisManifest['hashed']): ModelRef => ({
  ...version,
  params: model.sha256,
  state: null,
});

const roundModel = ({ hashed: { version, model, state } }: RoundManifest): ModelRef => ({
  ...version,
  params: model.sha256,
  state: state?.sha256 ?? null,
});

const archiveOf = ({ closing, manifest }: Pick<ClosedRound, 'closing' | 'manifest'>) => ({
  model: manifest.hashed.model.archive,
  manifest: closing.archiveId,
  manifestHash: closing.manifestHash,
});
