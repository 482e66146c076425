/**
 * Where a version stands on the chain. A version is named by its content, so the same one can be the outcome of
 * several jobs: then it has several histories, and which one is meant has to be said.
 */
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { ChainJob } from '#services/chain.js';
import { Wrong } from './checklist.js';
import type { AuditChain } from './sources.js';

export interface VersionPlace {
  job: Hex;
  /** 0: the job starts from it. */
  round: number;
  /** On chain, of the closing or the creation. */
  block: number;
  /** The round is void: its coordinator was convicted. */
  isVoid: boolean;
}

/**
 * The place that is meant, with all there are.
 * @param job when the version is in several
 * @throws CONFLICT when it is in several jobs and none is named
 * @throws Wrong when the chain does not know it, does not know it in this job, or its round is void
 */
export async function findPlace(
  chain: AuditChain,
  version: Hex,
  job?: Hex,
): Promise<{ place: VersionPlace; others: VersionPlace[] }> {
  const all = await placesOf(chain, version);
  if (all.length === 0) throw new Wrong(`the chain knows no version ${version}`);
  const standing = all.filter(({ isVoid }) => !isVoid);
  // A job that starts from what another one made is no second history of it.
  const made = standing.filter(({ round }) => round > 0);
  const meant =
    job === undefined ? (made.length > 0 ? made : standing) : standing.filter((at) => at.job === job);
  const [place] = meant;
  if (!place)
    throw new Wrong(await notThere(chain, version, all, job), {
      ...(all[0] && { job: all[0].job, round: all[0].round }),
    });
  if (job === undefined && meant.length > 1 && new Set(meant.map((at) => at.job)).size > 1)
    throw new RoundtableError(
      'CONFLICT',
      `Version ${version} is ${meant.map(nameOf).join(' and ')}: it has a history in each. Name the job that you mean.`,
      { details: { places: meant } },
    );
  return { place, others: standing.filter((at) => at.job !== place.job) };
}

/**
 * Where the version that a job goes on from was before it. Only what the chain had before the job counts, so that
 * no job descends from itself.
 * @throws Wrong
 */
export async function findParent(
  chain: AuditChain,
  { job, block, parentVersion }: ChainJob,
): Promise<VersionPlace> {
  const all = parentVersion === null ? [] : await placesOf(chain, parentVersion);
  const before = all.filter((at) => at.block < block && at.job !== job && !at.isVoid);
  const place = before.find(({ round }) => round > 0) ?? before[0];
  if (!place)
    throw new Wrong(`the chain knew no version ${parentVersion ?? ''} when job ${job} began`, { job });
  return place;
}

/** @example nameOf({ job, round: 2 }) // 'round 2 of job 0x3f2a91…' */
export function nameOf({ job, round }: { job: Hex; round: number }): string {
  return `${round === 0 ? 'the start' : `round ${round}`} of job ${job}`;
}

/** Rounds that closed with a version and jobs that start from it, in the order of the chain. */
async function placesOf(chain: AuditChain, version: Hex): Promise<VersionPlace[]> {
  const closings = await chain.closedVersions(version);
  const places = await Promise.all(
    closings.map(async ({ job, round, block }) => {
      const standing = (await chain.rounds(job)).find((entry) => entry.round === round)?.closing;
      return { job, round, block, isVoid: standing?.versionId !== version || standing.block !== block };
    }),
  );
  for (const job of await chain.jobsFrom(version)) {
    const created = await chain.job(job);
    if (created) places.push({ job, round: 0, block: created.block, isVoid: false });
  }
  return places.sort((a, b) => a.block - b.block);
}

async function notThere(
  chain: AuditChain,
  version: Hex,
  all: readonly VersionPlace[],
  job: Hex | undefined,
): Promise<string> {
  const where = all.map((at) => nameOf(at) + (at.isVoid ? ', which is void' : '')).join(' and ');
  if (job === undefined) return `version ${version} is ${where}: its coordinator was convicted`;
  if (!(await chain.job(job))) return `the chain knows no job ${job}`;
  return `version ${version} is not of the line of job ${job}: it is ${where}`;
}
