/** Every version that the chain knows, how they descend from each other, and which of them stand. */
import { hashJson } from '#core/canonicalJson.js';
import { ZERO_HASH, type Hex } from '#core/hex.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import type { Gateways } from './archive.js';
import type { ChainView, ClosedRound, CreatedJob } from './contracts.js';
import { Unreachable } from './rpc.js';
import { sha256 } from './sha256.js';

export interface ChainVersion {
  version: Hex;
  parent: Hex | null;
  /** The name in the job's manifest; null while no gateway has that. */
  lineage: string | null;
  /** Rounds from the first version of the lineage. */
  number: number;
  job: Hex;
  /** 0: the job starts from it. */
  round: number;
  /** Null where it was not measured, or the manifest was not read. */
  accuracy: number | null;
  /** Its coordinator was convicted. */
  isVoid: boolean;
  block: number;
}

/**
 * Manifests are compared with the chain's hashes before anything of them is believed.
 * @param newest of so many versions the manifests are read, for their accuracy; 0: no manifest at all is
 * @throws Unreachable when the node cannot be asked, or is on another chain
 */
export async function readLineage(
  chain: ChainView,
  archive: Gateways,
  newest: number,
): Promise<ChainVersion[]> {
  const onChain = await chain.rpc.chainId();
  if (onChain !== chain.contracts.chainId)
    throw new Unreachable(`the node is on chain ${onChain}, the stack on ${chain.contracts.chainId}`);
  const [jobs, closings] = await Promise.all([chain.createdJobs(), chain.closedRounds()]);
  const standing = new Map<Hex, ChainVersion>();
  const all: { version: ChainVersion; named: { archive: string; manifestHash: Hex } }[] = [];
  const starts = new Map<Hex, GenesisManifest | null>();
  const latestRounds = new Map<Hex, number>();
  await inGroups(jobs, 8, async (job) => {
    starts.set(job.job, newest === 0 ? null : await anchored<GenesisManifest>(archive, job));
    latestRounds.set(job.job, await chain.latestRound(job.job));
  });
  for (const job of jobs) {
    const parent = standing.get(job.parentVersion) ?? null;
    const start = startOf(starts.get(job.job) ?? null, job, parent);
    if (!standing.has(start.version)) {
      standing.set(start.version, start);
      all.push({ version: start, named: job });
    }
    const latest = latestRounds.get(job.job) ?? 0;
    const closed = closings.filter((closing) => closing.job === job.job);
    let before = start.version;
    for (const [i, closing] of closed.entries()) {
      const again = closed.slice(i + 1).some(({ round }) => round === closing.round);
      const isVoid = again || closing.round > latest;
      const version = roundOf(closing, start, before, isVoid);
      if (!isVoid) {
        standing.set(version.version, version);
        before = version.version;
      }
      all.push({ version, named: closing });
    }
  }
  const wanted = (newest === 0 ? [] : all.slice(-newest)).filter(({ version }) => version.round > 0);
  await inGroups(wanted, 8, async ({ version, named }) => {
    const manifest = await anchored<RoundManifest>(archive, named);
    version.accuracy = manifest?.measured.accuracy ?? null;
  });
  return all.map(({ version }) => version);
}

/** A manifest with the hash that the chain names; null when no gateway has it, or has another. */
export async function anchored<T extends RoundManifest | GenesisManifest>(
  archive: Gateways,
  named: { archive: string; manifestHash: Hex },
): Promise<T | null> {
  try {
    const manifest = (await archive.json(named.archive)) as T;
    return hashJson(sha256, manifest.hashed) === named.manifestHash ? manifest : null;
  } catch {
    return null;
  }
}

function startOf(
  manifest: GenesisManifest | null,
  job: CreatedJob,
  parent: ChainVersion | null,
): ChainVersion {
  return {
    version: job.genesisVersion,
    parent: job.parentVersion === ZERO_HASH ? null : job.parentVersion,
    lineage: manifest?.hashed.spec.name ?? parent?.lineage ?? null,
    number: parent?.number ?? 0,
    job: job.job,
    round: 0,
    accuracy: manifest?.measured.accuracy ?? null,
    isVoid: false,
    block: job.block,
  };
}

function roundOf(
  { versionId, job, round, block }: ClosedRound,
  { lineage, number }: ChainVersion,
  before: Hex,
  isVoid: boolean,
): ChainVersion {
  return {
    version: versionId,
    parent: before,
    lineage,
    number: number + round,
    job,
    round,
    accuracy: null,
    isVoid,
    block,
  };
}

async function inGroups<T>(
  list: readonly T[],
  size: number,
  work: (entry: T) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < list.length; from += size)
    await Promise.all(list.slice(from, from + size).map(work));
}
