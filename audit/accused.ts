/** What chain and archive hold of a closed round and of the version it builds on, without judging it. */
import { RoundtableError, isRoundtableError } from '#core/errors.js';
import { ZERO_HASH, type Hex } from '#core/hex.js';
import {
  genesisManifest,
  manifestHash,
  roundManifest,
  type GenesisManifest,
  type RoundManifest,
  largestManifest,
} from '#core/manifest.js';
import type { RunnerHeader } from '#core/commitment.js';
import { versionId } from '#core/model.js';
import { closingFields, creationFields } from '#services/chain/words.js';
import type { ClosedFields } from '#services/chainCalls.js';
import type { Chain, ChainClosing, ChainJob, ChainRound } from '#services/chain.js';
import { AuditStopped, Checklist, Wrong } from './checklist.js';
import { parseJson } from './documents.js';
import { Evidence } from './evidence.js';
import { openingOf, type OpeningInput } from './opening.js';
import type { RoundName } from './questions.js';
import type { AuditSources } from './sources.js';
import { checkModelFile, type OpenedModel, type VersionHashes, type VersionRecord } from './version.js';

export interface Accused {
  job: ChainJob;
  closing: ChainClosing;
  name: RoundName;
  openingWord: Hex;
  /** Fields of the job's creation as they are hashed. */
  creation: Hex;
  before: {
    /** Word of the closing that the round follows, and its fields as they are hashed. */
    word: Hex;
    fields: Hex;
    /** Of the version it builds on, as the chain has it. */
    versionId: Hex;
    /** Null when nobody has the manifest that names it, or names what its id commits to. */
    version: VersionHashes | null;
    /** As its manifest says, believed or not. */
    record: VersionRecord | null;
  };
  /** Null when its manifest is not to be had, or does not lead to what stands on chain. */
  committed: Committed | null;
  record: ChainRound;
  /** Its manifest, believed or not; null when there is none. */
  made: RoundManifest['hashed'] | null;
}

/** Each null when its files are sealed, missing, or not what was committed to. */
export interface Models {
  base: OpenedModel;
  next: OpenedModel;
}

/** What a round committed to: from its manifest, or from answers to questions. */
export interface Committed {
  /** Leads to the root header on chain. */
  evidence: Evidence;
  headers: readonly SignedHeader[];
  /** Null when the manifest's opening is not the one on chain. */
  opening: OpeningInput | null;
  /** Null when it is not known, or not the one that the opening committed to. */
  selection: readonly { runner: Hex; maxSamples: number }[] | null;
  /** Null when it is not what the version's id commits to. */
  version: VersionHashes | null;
}

export interface SignedHeader extends RunnerHeader {
  /** As signed; the header does not commit to them. */
  steps: number | bigint;
}

/** What the commitments of a round are read from. */
export interface RoundSources extends Pick<AuditSources, 'archive' | 'hash'> {
  chain: Pick<Chain, 'job' | 'rounds' | 'commitments'>;
}

/**
 * @param proposed with what a round that is open is to be closed; then the name of its closing is 32 zero bytes
 * @throws NOT_FOUND unless the round is closed (or open, with a proposal); ARCHIVE_UNREACHABLE where gateways do not say
 * that they lack a file
 */
export async function loadAccused(
  sources: RoundSources,
  id: Hex,
  round: number,
  proposed?: ClosedFields,
): Promise<Accused> {
  const { chain } = sources;
  const job = await chain.job(id);
  const rounds = await chain.rounds(id);
  const record = rounds.find((entry) => entry.round === round);
  const { opening, closing: stored } = await chain.commitments(id, round);
  const closing = record && proposed ? proposal(record, id, proposed) : record?.closing;
  const own = proposed ? ZERO_HASH : stored;
  const { opening: openingBefore, closing: word } = await chain.commitments(id, round - 1);
  if (!job || !record || !closing || !opening || !own || !word)
    throw new RoundtableError('NOT_FOUND', `The chain does not show round ${round} of job ${id} as closed.`);
  const creation = creationFields(job);
  const previous = rounds.find((entry) => entry.round === round - 1)?.closing;
  const versionBefore = previous?.versionId ?? job.genesisVersion;
  const base: VersionRecord | null = previous
    ? await readRound(sources, previous)
    : await readGenesis(sources, job);
  const manifest = await readRound(sources, closing);
  return {
    job,
    record,
    closing,
    name: { job: id, round, closing: own },
    openingWord: opening,
    creation,
    before: {
      word,
      fields: previous && openingBefore ? closingFields(openingBefore, previous) : creation,
      versionId: versionBefore,
      version: base && isVersion(sources.hash, base.version, versionBefore) ? base.version : null,
      record: base,
    },
    committed: manifest && committedBy(sources, manifest, { closing, opening, record }),
    made: manifest,
  };
}

/** @throws ARCHIVE_UNREACHABLE where gateways do not say that they lack a file */
export async function openModels(
  sources: AuditSources,
  { before, made }: Pick<Accused, 'before' | 'made'>,
): Promise<Models> {
  return {
    base: before.record && (await opened(sources, before.record)),
    next: made && (await opened(sources, made)),
  };
}

function proposal({ round, block, transaction }: ChainRound, job: Hex, proposed: ClosedFields): ChainClosing {
  return { job, round, ...proposed, block, transaction };
}

function committedBy(
  { hash }: RoundSources,
  { headers, sumRoots, opening, version }: RoundManifest['hashed'],
  chain: { closing: ChainClosing; opening: Hex; record: ChainRound },
): Committed | null {
  const evidence = evidenceOf(hash, { closing: chain.closing, opening: chain.opening, headers, sumRoots });
  if (evidence?.root !== chain.closing.rootHeader) return null;
  const found = openingOf(hash, opening);
  return {
    evidence,
    headers,
    selection: opening.selection,
    version: isVersion(hash, version, chain.closing.versionId) ? version : null,
    opening: found?.openHash === chain.record.openHash ? found.input : null,
  };
}

function isVersion(hash: AuditSources['hash'], { graph, ...rest }: VersionHashes, expected: Hex): boolean {
  return versionId(hash, { graphHash: graph, ...rest }) === expected;
}

function evidenceOf(hash: AuditSources['hash'], facts: ConstructorParameters<typeof Evidence>[1]) {
  try {
    return new Evidence(hash, facts);
  } catch {
    // No tree has so many headers, or sum roots of that shape.
    return null;
  }
}

async function readRound(
  sources: RoundSources,
  { archiveId, manifestHash: hash }: ChainClosing,
): Promise<RoundManifest['hashed'] | null> {
  const parsed = roundManifest.safeParse(await archived(sources, archiveId));
  return parsed.success && manifestHash(sources.hash, parsed.data) === hash ? parsed.data.hashed : null;
}

async function readGenesis(
  sources: RoundSources,
  { archiveId, manifestHash: hash }: ChainJob,
): Promise<GenesisManifest['hashed'] | null> {
  const parsed = genesisManifest.safeParse(await archived(sources, archiveId));
  return parsed.success && manifestHash(sources.hash, parsed.data) === hash ? parsed.data.hashed : null;
}

/** Undefined for what nobody has, or is no JSON. @throws ARCHIVE_UNREACHABLE where a gateway did not answer */
async function archived(sources: RoundSources, id: string): Promise<unknown> {
  try {
    return parseJson(await sources.archive.get(id, largestManifest), id);
  } catch (error) {
    if (error instanceof Wrong || isWithheld(error)) return undefined;
    throw error;
  }
}

/** Whether every gateway that was asked answered, and none had it (or all had something else). */
export function isWithheld(error: unknown): boolean {
  if (isRoundtableError(error, 'ARCHIVE_UNREACHABLE')) return error.details['absent'] === true;
  return (
    isRoundtableError(error, 'NOT_FOUND') ||
    isRoundtableError(error, 'ARCHIVE_CORRUPT') ||
    isRoundtableError(error, 'PAYLOAD_TOO_LARGE')
  );
}

async function opened(sources: AuditSources, record: VersionRecord): Promise<OpenedModel> {
  try {
    return await checkModelFile(new Checklist(), sources, 'version', record);
  } catch (error) {
    if (error instanceof AuditStopped || isWithheld(error)) return null;
    throw error;
  }
}
