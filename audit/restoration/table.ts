/** What a stack's table says, told by the chain and the archive alone: for a table that was lost. */
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ChainJob } from '#services/chain.js';
import type { Projection } from '#services/table.js';
import { Wrong } from '../checklist.js';
import { findParent } from '../place.js';
import { readEpochs } from './epochs.js';
import { readJob, type JobRows } from './job.js';
import { openRecordOf, type Record, type RestorationSources } from './record.js';

export type { RestorationSources } from './record.js';

export interface RestoredTable {
  /** In the order in which they have to be written: what is paid before the jobs that wait for payment. */
  rows: Projection[];
  /** What is left out, because chain and archive do not show it. */
  problems: { subject: string; problem: string }[];
}

/**
 * All rows of one member's stack. Manifests are checked against the chain's hashes.
 * @param told called before each job with its number and how many there are
 * @throws CHAIN_UNREACHABLE; Wrong when an epoch that the chain has cannot be shown
 */
export async function readTable(
  sources: RestorationSources,
  member: Hex,
  told: (done: number, of: number) => void = () => undefined,
): Promise<RestoredTable> {
  const record = openRecordOf(sources, member);
  const { rows: epochs, paid } = await readEpochs(record);
  const ids = await sources.chain.jobsOf(member);
  const jobs: JobRows[] = [];
  const problems: RestoredTable['problems'] = [];
  for (const [index, id] of ids.entries()) {
    told(index, ids.length);
    const job = await sources.chain.job(id);
    if (!job) continue;
    try {
      jobs.push(await readJob(record, job, { baseNumber: await baseNumber(record, job), paid }));
    } catch (error) {
      // A job that nobody can read hides itself, not the others.
      const isOfJob =
        error instanceof Wrong || (isRoundtableError(error) && !error.code.startsWith('CHAIN_'));
      if (!isOfJob) throw error;
      problems.push({ subject: `job ${id}`, problem: error.message });
    }
  }
  told(ids.length, ids.length);
  const versions = jobs.flatMap((job) => job.versions).sort((a, b) => a.block - b.block);
  const rows: Projection[] = [
    ...epochs.map((view): Projection => ({ kind: 'epoch', view })),
    ...jobs.flatMap(({ credits }) => credits.map((view): Projection => ({ kind: 'credit', view }))),
    ...inOrder(versions.map(({ view }) => view)).map((view): Projection => ({ kind: 'version', view })),
    ...jobs.flatMap(({ rounds }) => rounds.map((view): Projection => ({ kind: 'round', view }))),
    ...jobs.map(({ job }): Projection => ({ kind: 'job', view: job })),
  ];
  return { rows, problems };
}

/** The number of the version that a job starts from, in its lineage. */
async function baseNumber(record: Record, job: ChainJob): Promise<number> {
  if (job.parentVersion === null) return 0;
  const place = await findParent(record.sources.chain, job);
  const parent = await record.sources.chain.job(place.job);
  return parent ? (await baseNumber(record, parent)) + place.round : place.round;
}

/** Blocks have seconds; among versions of one second the order of the chain goes into the milliseconds. */
function inOrder<T extends { updatedAt: string }>(versions: readonly T[]): T[] {
  let last = 0;
  return versions.map((view) => {
    last = Math.max(Date.parse(view.updatedAt), last + 1);
    return { ...view, updatedAt: new Date(last).toISOString() };
  });
}
