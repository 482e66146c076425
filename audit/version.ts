/** A model version: its id, its parameter file and its optimiser's state, as a manifest names them. */
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { stepsHash, type Layout } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { decodeVersion } from '#core/versionFile.js';
import { same, type Checklist } from './checklist.js';
import type { AuditChain, AuditSources } from './sources.js';

/** A version's parameters, or null when they are sealed for others. */
export type OpenedModel = { layout: Layout; params: Int32Array; velocity: Int32Array | null } | null;

export interface VersionHashes {
  versionId: Hex;
  graph: Hex;
  paramsRoot: Hex;
  stepsHash: Hex;
  stateRoot: Hex;
}

/** What a manifest says of the version it made; `state` is the server optimiser's. */
export interface VersionRecord {
  spec: JobSpec;
  version: VersionHashes;
  /** SHA-256 of the plain bytes, and where they are archived. */
  model: ArchivedFile;
  state?: ArchivedFile | null;
}

interface ArchivedFile {
  sha256: Hex;
  archive: string;
}

/** @throws AuditStopped unless id and files are those of the version */
export async function checkVersion(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  record: VersionRecord,
): Promise<OpenedModel> {
  await list.check(subject, 'version id', 'SHA-256 over graph, parameters, steps and state', (say) => {
    const { graph, ...rest } = record.version;
    same('the id', versionId(sources.hash, { graphHash: graph, ...rest }), rest.versionId);
    say(rest.versionId);
  });
  return checkModelFile(list, sources, subject, record);
}

/**
 * The parameter file (and the optimiser's state) of a version: bytes, root and grid.
 * @throws AuditStopped when something differs
 */
export async function checkModelFile(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  record: VersionRecord,
): Promise<OpenedModel> {
  const sealed = record.spec.archive.recipients !== null;
  if (sealed && !sources.unseal && !sources.held) {
    list.unchecked(
      subject,
      'model file',
      'not opened',
      'it is sealed for the members; give a member’s sealing key to open it',
    );
    return null;
  }
  return list.check(subject, 'model file', 'Arweave data root, SHA-256, parameter tree', async (say) => {
    const { version, model, state } = record;
    const { layout, params } = decodeVersion(await plainBytes(sources, model, sealed));
    const root = toHex(valuesRoot(sources.hash, LEAF.params, params));
    same('the root of its parameters', root, version.paramsRoot);
    same('the hash of its steps', stepsHash(sources.hash, layout), version.stepsHash);
    say(`${layout.dimension} parameters in ${layout.tensors.length} tensors`);
    if (!state) {
      same('the root of its state', version.stateRoot, ZERO_HASH);
      return { layout, params, velocity: null };
    }
    const velocity = decodeVersion(await plainBytes(sources, state, sealed));
    const stateRoot = toHex(valuesRoot(sources.hash, LEAF.state, velocity.params));
    same('the root of its state', stateRoot, version.stateRoot);
    same("the hash of the state's steps", stepsHash(sources.hash, velocity.layout), version.stepsHash);
    return { layout, params, velocity: velocity.params };
  });
}

/** Archived bytes, opened if they are sealed, with the hash they must have. */
async function plainBytes(
  sources: AuditSources<AuditChain>,
  file: ArchivedFile,
  sealed: boolean,
): Promise<Uint8Array> {
  const plain = (await sources.held?.(file.sha256)) ?? (await archived());
  same(`the SHA-256 of ${file.archive}`, toHex(sources.hash(plain)), file.sha256);
  return plain;

  async function archived(): Promise<Uint8Array> {
    const stored = await sources.archive.get(file.archive);
    return sealed && sources.unseal ? sources.unseal(stored, file.sha256) : stored;
  }
}
