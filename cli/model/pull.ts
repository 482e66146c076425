import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { floatTensors } from '#core/layout.js';
import { genesisManifest, largestManifest, manifestHash } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { parseMessage } from '#core/schema.js';
import { decodeVersion } from '#core/versionFile.js';
import type { VersionView } from '#core/views.js';
import type { Archive } from '#services/archive.js';
import type { Chain } from '#services/chain.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { writeModel } from '#trainer/model.js';

interface PullSources {
  chain: Chain;
  archive: Archive;
  unseal: ((envelope: Uint8Array, context: Hex) => Uint8Array) | undefined;
}

/**
 * The int32 parameter file of a version, from the archive, checked against its hashes.
 * @throws ARCHIVE_CORRUPT when bytes and hashes differ, SEAL_NOT_FOR_YOU when no key on this machine opens it
 */
export async function pullParameters(
  { archive, unseal }: PullSources,
  version: VersionView,
): Promise<Uint8Array> {
  const { params, paramsRoot } = version.model;
  const stored = await archive.get(version.archive.model);
  const file = sha256Hex(stored) === params ? stored : opened(stored, params, unseal);
  if (sha256Hex(file) !== params) throw corrupt(version.archive.model, 'the SHA-256 of its parameters');
  if (toHex(valuesRoot(sha256, LEAF.params, decodeVersion(file).params)) !== paramsRoot)
    throw corrupt(version.archive.model, 'the root of its parameters');
  return file;
}

/** An ordinary ONNX file with float weights: the job's graph, and the parameters on their grid. */
export async function pullOnnx(sources: PullSources, version: VersionView): Promise<Uint8Array> {
  const [file, graph] = await Promise.all([pullParameters(sources, version), pullGraph(sources, version)]);
  const { layout, params } = decodeVersion(file);
  return writeModel(graph, floatTensors(layout, params));
}

/** The graph is archived once a job; the genesis manifest, which the chain names, says where. */
async function pullGraph({ chain, archive }: PullSources, version: VersionView): Promise<Uint8Array> {
  const job = await chain.job(version.job);
  if (!job)
    throw new RoundtableError(
      'NOT_FOUND',
      `The chain knows no job ${version.job}, to which version ${version.model.versionId} belongs.`,
    );
  const bytes = await archive.get(job.archiveId, largestManifest);
  const manifest = parseMessage(
    genesisManifest,
    parseJson(bytes, job.archiveId),
    `Manifest ${job.archiveId}`,
  );
  if (manifestHash(sha256, manifest) !== job.manifestHash) throw corrupt(job.archiveId, 'the hash on chain');
  const graph = await archive.get(manifest.hashed.graph.archive);
  if (sha256Hex(graph) !== version.model.graph)
    throw corrupt(manifest.hashed.graph.archive, "the SHA-256 of the version's graph");
  return graph;
}

function parseJson(bytes: Uint8Array, id: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw corrupt(id, 'the form of a manifest');
  }
}

function opened(stored: Uint8Array, context: Hex, unseal: PullSources['unseal']): Uint8Array {
  if (!unseal)
    throw new RoundtableError(
      'SEAL_NOT_FOR_YOU',
      'The version is sealed for the members, and no sealing key of a member is on this machine.',
    );
  return unseal(stored, context);
}

function corrupt(id: string, what: string): RoundtableError {
  return new RoundtableError('ARCHIVE_CORRUPT', `What is archived under ${id} does not meet ${what}.`);
}
