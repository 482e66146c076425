/** The tree of versions as chain and archive have it: who made what from what, and whether it stands. */
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { genesisManifest, roundManifest, type GenesisManifest, type RoundManifest } from '#core/manifest.js';
import { wordTime } from '#services/chain/words.js';
import type { ChainJob, ChainRound } from '#services/chain.js';
import { Wrong } from './checklist.js';
import { readManifest } from './documents.js';
import { findParent } from './place.js';
import type { AuditChain, AuditSources } from './sources.js';

export interface LineageVersion {
  /** `JOB/ROUND`, with the block of the closing for a void one: a version's id can be there twice. */
  id: string;
  /** Id of the version it was made from; null for a new model. */
  parent: string | null;
  lineage: string;
  /** Rounds from the first version of the lineage. */
  number: number;
  version: Hex;
  job: Hex;
  /** 0: the job starts from it. */
  round: number;
  coordinator: Hex;
  /** Final: it cannot be disputed any more. Void: its coordinator was convicted. */
  state: 'final' | 'disputable' | 'void';
  /** When it came onto the chain; null for a void one, whose word is gone. */
  at: string | null;
  /** As the coordinator measured it. */
  accuracy: number | null;
  /** Whose updates are in it. */
  contributors: Hex[];
  archive: { manifest: string; model: string; state: string | null };
}

export interface Lineage {
  /** Oldest first. */
  versions: LineageVersion[];
  /** Jobs that are left out, because chain and archive do not show what they made. */
  problems: { job: Hex; problem: string }[];
}

/**
 * Every version of every job; manifests are checked against the chain's hashes, files are not read.
 * @param name only this lineage
 * @throws CHAIN_UNREACHABLE
 */
export async function readLineage(sources: LineageSources, name?: string): Promise<Lineage> {
  const { chain } = sources;
  const known = new Map<string, LineageVersion>();
  const problems: Lineage['problems'] = [];
  for (const id of await chain.jobs()) {
    const job = await chain.job(id);
    if (!job) continue;
    try {
      for (const version of await versionsOfJob(sources, job, known)) known.set(version.id, version);
    } catch (error) {
      // A job that nobody can read hides itself, not the others.
      const isOfJob =
        error instanceof Wrong || (isRoundtableError(error) && !error.code.startsWith('CHAIN_'));
      if (!isOfJob) throw error;
      problems.push({ job: id, problem: error.message });
    }
  }
  const versions = [...known.values()];
  return {
    versions: name === undefined ? versions : versions.filter(({ lineage }) => lineage === name),
    problems,
  };
}

type LineageSources = Pick<AuditSources<AuditChain>, 'chain' | 'archive' | 'hash'>;

async function versionsOfJob(
  sources: LineageSources,
  job: ChainJob,
  known: ReadonlyMap<string, LineageVersion>,
): Promise<LineageVersion[]> {
  const { chain } = sources;
  const [rounds, voided, final] = await Promise.all([
    chain.rounds(job.job),
    chain.voidRounds(job.job),
    chain.finalRound(job.job),
  ]);
  const { archiveId, manifestHash: hash } = job;
  const genesis = await readManifest(sources, { schema: genesisManifest, archiveId, hash });
  const from = job.parentVersion === null ? null : await findParent(chain, job);
  const parent = (from && known.get(`${from.job}/${from.round}`)) ?? null;
  const base = parent?.number ?? 0;
  const start = startOf(job, genesis, parent, await timeOf(chain, job.job, 0));
  const closed = [...rounds, ...voided]
    .filter((round) => round.closing !== null)
    .sort((a, b) => a.block - b.block);
  const made = await inGroups(closed, 8, async (round) => {
    const stands = rounds.includes(round);
    const at = stands ? await timeOf(chain, job.job, round.round) : null;
    const state = !stands ? 'void' : round.round <= final ? 'final' : 'disputable';
    const id = idOf(job, round, rounds);
    const parent = idOf(job, before(closed, round), rounds);
    return roundOf(sources, job, round, { base, at, state, id, parent });
  });
  return [start, ...made.filter((version) => version !== null)].sort((a, b) => a.number - b.number);
}

function startOf(
  job: ChainJob,
  { hashed, measured }: GenesisManifest,
  parent: LineageVersion | null,
  at: string | null,
): LineageVersion {
  return {
    id: `${job.job}/0`,
    parent: parent?.id ?? null,
    lineage: hashed.spec.name,
    number: parent?.number ?? 0,
    version: job.genesisVersion,
    job: job.job,
    round: 0,
    coordinator: job.coordinator,
    // Nothing was computed yet that could be disputed.
    state: 'final',
    at,
    accuracy: measured.accuracy,
    contributors: [],
    archive: { manifest: job.archiveId, model: hashed.model.archive, state: null },
  };
}

async function roundOf(
  sources: LineageSources,
  { job }: ChainJob,
  { round, closing, coordinator }: ChainRound,
  facts: { base: number; at: string | null; state: LineageVersion['state']; id: string; parent: string },
): Promise<LineageVersion | null> {
  if (!closing) return null;
  const { archiveId, manifestHash: hash } = closing;
  const { hashed, measured }: RoundManifest = await readManifest(sources, {
    schema: roundManifest,
    archiveId,
    hash,
  });
  return {
    id: facts.id,
    parent: facts.parent,
    lineage: hashed.spec.name,
    number: facts.base + round,
    version: closing.versionId,
    job,
    round,
    coordinator,
    state: facts.state,
    at: facts.at,
    accuracy: measured.accuracy,
    contributors: hashed.headers.map(({ runner }) => runner),
    archive: { manifest: archiveId, model: hashed.model.archive, state: hashed.state?.archive ?? null },
  };
}

/** The round that another was opened on: the newest at that time of the number before; null for the job's start. */
function before(closed: readonly ChainRound[], { round, block }: ChainRound): ChainRound | null {
  const older = closed.filter((entry) => entry.round === round - 1 && (entry.closing?.block ?? 0) <= block);
  return older.at(-1) ?? null;
}

function idOf({ job }: ChainJob, round: ChainRound | null, standing: readonly ChainRound[]): string {
  if (!round) return `${job}/0`;
  return standing.includes(round)
    ? `${job}/${round.round}`
    : `${job}/${round.round}/${round.closing?.block ?? 0}`;
}

async function timeOf(chain: AuditChain, job: Hex, round: number): Promise<string | null> {
  const { closing } = await chain.commitments(job, round);
  return closing === null ? null : new Date(1000 * wordTime(closing)).toISOString();
}

async function inGroups<T, R>(
  list: readonly T[],
  size: number,
  work: (entry: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < list.length; from += size)
    results.push(...(await Promise.all(list.slice(from, from + size).map(work))));
  return results;
}
