import type { z } from 'zod';
import { hashJson } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import {
  genesisManifest,
  largestManifest,
  manifestHash,
  roundManifest,
  type RoundManifest,
} from '#core/manifest.js';
import type { ArchiveRefs, ModelRef } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import type { JobView } from '#core/views.js';
import { shardsFor } from '#core/shards.js';
import { sha256 } from '#services/sha256.js';
import type { PreparedJob, TakenOver } from '../types.js';
import type { Dependencies } from './dependencies.js';

/**
 * Gathers what the chain names of another coordinator's job: its start, and the newest round that stands, from which it
 * goes on. All of it comes from chain and archive; nothing that the first coordinator's stack says is needed.
 * @throws CONFLICT for a job that has ended; JOB_INVALID for another spec than the job's; ARCHIVE_…, SEAL_…
 */
export async function prepareTakeOver(deps: Dependencies, row: JobView): Promise<PreparedJob> {
  const { job, spec, trigger, delivery, createdAt } = row;
  const created = await deps.chain.job(job);
  if (!created)
    throw new RoundtableError('CONFLICT', `Job ${job} is not on chain: there is nothing to take over.`);
  const specHash = hashJson(sha256, spec);
  if (specHash !== created.specHash)
    throw new RoundtableError(
      'JOB_INVALID',
      `The spec hashes to ${specHash}, and job ${job} was created with ${created.specHash}.`,
    );
  if (created.phase === 'finished')
    throw new RoundtableError('CONFLICT', `Job ${job} has ended: there is nothing to take over.`);
  const start = await readManifest(deps, genesisManifest, created);
  const graph = await store(deps, start.hashed.graph);
  const base = await storeVersionOf(deps, graph, { ...start.hashed, state: null });
  const genesis = { round: 0, version: base, ...start.measured, archive: refsOf(start.hashed, created) };
  const last = (await deps.chain.rounds(job)).findLast(({ closing }) => closing !== null);
  return {
    job,
    spec,
    specHash,
    coordinator: deps.coordinator,
    domain: deps.domain,
    view: { trigger, delivery, createdAt },
    parent: start.hashed.parent,
    base,
    dimension: created.terms.dimension,
    shards: shardsFor(
      created.terms.dimension,
      deps.shardRules,
      spec.aggregation.robust && spec.participants.most,
    ),
    // Where a lineage is not this stack's, nobody here has counted its versions.
    baseNumber: start.hashed.parent === null ? 0 : ((await deps.table.latestVersion(spec.name))?.number ?? 0),
    graphArchive: start.hashed.graph.archive,
    archive: genesis.archive,
    ...start.measured,
    takenOver: last?.closing ? await standing(deps, graph, last.round, last.closing) : genesis,
  };
}

async function standing(deps: Dependencies, graph: Hex, round: number, closing: Named): Promise<TakenOver> {
  const { hashed, measured } = await readManifest(deps, roundManifest, closing);
  const { accuracy, loss } = measured;
  const version = await storeVersionOf(deps, graph, hashed);
  return { round, version, accuracy, loss, archive: refsOf(hashed, closing) };
}

/** A document on chain: where it is archived, and what its hashed part hashes to. */
interface Named {
  archiveId: string;
  manifestHash: Hex;
}

async function readManifest<T extends z.ZodType<{ hashed: unknown }>>(
  { archive }: Dependencies,
  schema: T,
  { archiveId, manifestHash: expected }: Named,
): Promise<z.output<T>> {
  const text = new TextDecoder().decode(await archive.get(archiveId, largestManifest));
  const manifest = parseMessage(schema, JSON.parse(text) as unknown, `manifest ${archiveId}`);
  const found = manifestHash(sha256, manifest);
  if (found !== expected)
    throw new RoundtableError(
      'ARCHIVE_CORRUPT',
      `Manifest ${archiveId} hashes to ${found}, and the chain has ${expected}.`,
    );
  return manifest;
}

/** Brings a version's files into this stack's store, where its runners fetch them. */
async function storeVersionOf(
  deps: Dependencies,
  graph: Hex,
  { version, model, state, spec }: Pick<RoundManifest['hashed'], 'version' | 'model' | 'state' | 'spec'>,
): Promise<ModelRef> {
  const isSealed = spec.archive.recipients !== null;
  const { versionId, paramsRoot, stepsHash, stateRoot } = version;
  return {
    versionId,
    graph,
    params: await store(deps, model, isSealed),
    state: state && (await store(deps, state, isSealed)),
    paramsRoot,
    stepsHash,
    stateRoot,
  };
}

async function store(
  { archive, artifacts, unseal }: Dependencies,
  file: { sha256: Hex; archive: string },
  isSealed = false,
): Promise<Hex> {
  const stored = await archive.get(file.archive);
  const sha = await artifacts.put(isSealed ? unseal(stored, file.sha256) : stored);
  if (sha === file.sha256) return sha;
  throw new RoundtableError(
    'ARCHIVE_CORRUPT',
    `${file.archive} hashes to ${sha}, and its manifest has ${file.sha256}.`,
  );
}

function refsOf({ model }: { model: { archive: string } }, { archiveId, manifestHash }: Named): ArchiveRefs {
  return { model: model.archive, manifest: archiveId, manifestHash };
}
