/** What chain and archive hold of a closed round and of the version it builds on, without judging it. */
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import {
  genesisManifest,
  manifestHash,
  roundManifest,
  type RoundManifest,
  largestManifest,
} from '#core/manifest.js';
import { closingFields, creationFields } from '#services/chain/words.js';
import type { ChainClosing, ChainJob, ChainRound } from '#services/chain.js';
import { AuditStopped, Checklist } from './checklist.js';
import { parseJson } from './documents.js';
import { Evidence } from './evidence.js';
import type { AuditSources } from './sources.js';
import { checkModelFile, type OpenedModel, type VersionHashes, type VersionRecord } from './version.js';

export interface Accused {
  job: ChainJob;
  record: ChainRound;
  closing: ChainClosing;
  openingWord: Hex;
  /** Fields of the job's creation as they are hashed. */
  creation: Hex;
  before: {
    /** Word of the closing that the round follows, and its fields as they are hashed. */
    word: Hex;
    fields: Hex;
    version: VersionHashes;
    model: OpenedModel;
  };
  manifest: RoundManifest['hashed'];
  /** Null when the manifest's headers do not lead to the root header on chain. */
  evidence: Evidence | null;
  /** Null when the version's files are sealed, missing, or not what was committed to. */
  model: OpenedModel;
}

/** @throws NOT_FOUND unless the round is closed and its manifest is in the archive */
export async function loadAccused(sources: AuditSources, id: Hex, round: number): Promise<Accused> {
  const { chain, hash } = sources;
  const job = await chain.job(id);
  const rounds = await chain.rounds(id);
  const record = rounds.find((entry) => entry.round === round);
  const closing = record?.closing;
  const { opening } = await chain.commitments(id, round);
  const { closing: word } = await chain.commitments(id, round - 1);
  if (!job || !record || !closing || !opening || !word) throw missing(`round ${round} of job ${id}`);
  const manifest = await readRound(sources, closing);
  const creation = creationFields(job);
  const facts = { closing, opening, headers: manifest.headers, sumRoots: manifest.sumRoots };
  const evidence = evidenceOf(hash, facts);

  const previous = rounds.find((entry) => entry.round === round - 1)?.closing;
  const { opening: openingBefore } = await chain.commitments(id, round - 1);
  const base: VersionRecord = previous ? await readRound(sources, previous) : await readGenesis(sources, job);
  return {
    job,
    record,
    closing,
    openingWord: opening,
    creation,
    before: {
      word,
      fields: previous && openingBefore ? closingFields(openingBefore, previous) : creation,
      version: base.version,
      model: await opened(sources, base),
    },
    manifest,
    evidence: evidence?.root === closing.rootHeader ? evidence : null,
    model: await opened(sources, manifest),
  };
}

function evidenceOf(hash: AuditSources['hash'], facts: ConstructorParameters<typeof Evidence>[1]) {
  try {
    return new Evidence(hash, facts);
  } catch {
    // No tree has so many headers, or sum roots of that shape.
    return null;
  }
}

async function readRound(sources: AuditSources, closing: ChainClosing): Promise<RoundManifest['hashed']> {
  const document = parseJson(
    await sources.archive.get(closing.archiveId, largestManifest),
    closing.archiveId,
  );
  const parsed = roundManifest.safeParse(document);
  if (!parsed.success || manifestHash(sources.hash, parsed.data) !== closing.manifestHash)
    throw missing(`the manifest of round ${closing.round} of job ${closing.job}`);
  return parsed.data.hashed;
}

async function readGenesis(sources: AuditSources, job: ChainJob) {
  const parsed = genesisManifest.safeParse(
    parseJson(await sources.archive.get(job.archiveId, largestManifest), job.archiveId),
  );
  if (!parsed.success || manifestHash(sources.hash, parsed.data) !== job.manifestHash)
    throw missing(`the genesis manifest of job ${job.job}`);
  return parsed.data.hashed;
}

async function opened(sources: AuditSources, record: VersionRecord): Promise<OpenedModel> {
  try {
    return await checkModelFile(new Checklist(), sources, 'version', record);
  } catch (error) {
    if (error instanceof AuditStopped) return null;
    throw error;
  }
}

function missing(what: string): RoundtableError {
  return new RoundtableError('NOT_FOUND', `Chain and archive do not show ${what}.`);
}
