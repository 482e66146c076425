/** Documents and model files as the archive holds them, checked against the hashes that the chain leads to. */
import type { z } from 'zod';
import { hashJson } from '#core/canonicalJson.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { stepsHash, type Layout } from '#core/layout.js';
import { manifestHash, largestManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { parseMessage } from '#core/schema.js';
import { decodeVersion } from '#core/versionFile.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { AuditSources } from './sources.js';

/** A version's parameters, or null when they are sealed for others. */
export type OpenedModel = { layout: Layout; params: Int32Array; velocity: Int32Array | null } | null;

/** Where a version's files are archived, with the SHA-256 of their plain bytes. */
export interface ModelFiles {
  /** For the members only. */
  sealed: boolean;
  model: { sha256: Hex; archive: string };
  /** The server optimiser's state. */
  state: { sha256: Hex; archive: string } | null;
}

export interface VersionHashes {
  versionId: Hex;
  graph: Hex;
  paramsRoot: Hex;
  stepsHash: Hex;
  stateRoot: Hex;
}

/** @throws AuditStopped unless the archive has a document of this form and its hashed part has this hash */
export async function checkManifest<T extends z.ZodType<{ hashed: unknown }>>(
  list: Checklist,
  sources: AuditSources,
  document: { subject: string; schema: T; archiveId: string; hash: Hex },
): Promise<z.output<T>> {
  const { subject, schema, archiveId, hash } = document;
  return list.check(subject, 'manifest', "Arweave data root; SHA-256 against the chain's", async (say) => {
    const bytes = await sources.archive.get(archiveId, largestManifest);
    const manifest = parseMessage(schema, parseJson(bytes, archiveId), `Manifest ${archiveId}`);
    same('its hash', manifestHash(sources.hash, manifest), hash);
    say(archiveId);
    return manifest;
  });
}

/** @throws AuditStopped unless the four commitments hash to the version's id */
export function checkVersionId(
  list: Checklist,
  sources: AuditSources,
  subject: string,
  hashes: VersionHashes,
): Promise<void> {
  return list.check(subject, 'version id', 'SHA-256 over graph, parameters, steps and state', (say) => {
    const { graph, ...rest } = hashes;
    same('the id', versionId(sources.hash, { graphHash: graph, ...rest }), hashes.versionId);
    say(hashes.versionId);
  });
}

/**
 * The parameter file (and the optimiser's state) of a version: bytes, root and grid.
 * @throws AuditStopped when something differs
 */
export async function checkModelFile(
  list: Checklist,
  sources: AuditSources,
  subject: string,
  hashes: VersionHashes,
  { sealed, model, state }: ModelFiles,
): Promise<OpenedModel> {
  if (sealed && !sources.unseal) {
    list.unchecked(
      subject,
      'model file',
      'not opened',
      'it is sealed for the members; give a member’s sealing key to open it',
    );
    return null;
  }
  return list.check(subject, 'model file', 'Arweave data root, SHA-256, parameter tree', async (say) => {
    const { layout, params } = decodeVersion(await plainBytes(sources, model, sealed));
    same(
      'the root of its parameters',
      toHex(valuesRoot(sources.hash, LEAF.params, params)),
      hashes.paramsRoot,
    );
    same('the hash of its steps', stepsHash(sources.hash, layout), hashes.stepsHash);
    say(`${layout.dimension} parameters in ${layout.tensors.length} tensors`);
    if (!state) {
      same('the root of its state', hashes.stateRoot, ZERO_HASH);
      return { layout, params, velocity: null };
    }
    const velocity = decodeVersion(await plainBytes(sources, state, sealed));
    same(
      'the root of its state',
      toHex(valuesRoot(sources.hash, LEAF.state, velocity.params)),
      hashes.stateRoot,
    );
    same("the hash of the state's steps", stepsHash(sources.hash, velocity.layout), hashes.stepsHash);
    return { layout, params, velocity: velocity.params };
  });
}

/** @throws Wrong unless two values are the same JSON */
export function sameJson(sources: AuditSources, what: string, found: unknown, expected: unknown): void {
  if (hashJson(sources.hash, found) !== hashJson(sources.hash, expected))
    throw new Wrong(`${what} is not the one it should be: ${JSON.stringify(found).slice(0, 200)}`);
}

/** Archived bytes, opened if they are sealed, with the hash they must have. */
async function plainBytes(
  sources: AuditSources,
  file: { sha256: Hex; archive: string },
  sealed: boolean,
): Promise<Uint8Array> {
  const stored = await sources.archive.get(file.archive);
  const plain = sealed && sources.unseal ? sources.unseal(stored, file.sha256) : stored;
  same(`the SHA-256 of ${file.archive}`, toHex(sources.hash(plain)), file.sha256);
  return plain;
}

export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Wrong(`${what} is not JSON`);
  }
}
