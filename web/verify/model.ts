/** Manifest and files of a version for those who look at it or take it along, compared with the chain on the way. */
import type { Hex, Sha256Hex } from '#core/hex.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import type { Gateways } from './archive.js';
import type { ChainView } from './contracts.js';
import { anchored } from './lineage.js';
import { Unreachable } from './rpc.js';
import { fileSha256 } from './sha256.js';

export interface ModelFiles {
  /** The ONNX graph without weights. */
  graph: Uint8Array<ArrayBuffer>;
  /** The int32 parameters with their steps, safetensors. */
  parameters: Uint8Array<ArrayBuffer>;
}

export interface Model {
  manifest: RoundManifest | GenesisManifest;
  /** Of the job's start, which names the graph. */
  genesis: GenesisManifest;
  files: ModelFiles | null;
}

/** @throws Unreachable when it cannot be asked for, Error when what is archived is not what the chain names */
export async function readModel(
  chain: ChainView,
  archive: Gateways,
  version: Hex,
  withFiles: boolean,
): Promise<Model> {
  const onChain = await chain.rpc.chainId();
  if (onChain !== chain.contracts.chainId)
    throw new Unreachable(`the node is on chain ${onChain}, the stack on ${chain.contracts.chainId}`);
  const closed = await chain.closedVersion(version);
  const job = await chain.createdJob(closed ? { job: closed.job } : { genesisVersion: version });
  if (!job) throw new Error('the chain knows no such version');
  const genesis = await anchored<GenesisManifest>(archive, job);
  if (!genesis) throw new Error("no gateway has the manifest of the job's start as the chain names it");
  const manifest = closed ? await anchored<RoundManifest>(archive, closed) : genesis;
  if (!manifest) throw new Error('no gateway has the manifest as the chain names it');
  const files = withFiles ? await readFiles(archive, manifest, genesis) : null;
  return { manifest, genesis, files };
}

async function readFiles(
  archive: Gateways,
  { hashed }: RoundManifest | GenesisManifest,
  genesis: GenesisManifest,
): Promise<ModelFiles> {
  if (hashed.spec.archive.recipients !== null) throw new Error('the model is sealed for the members');
  const [graph, parameters] = await Promise.all([
    hashedFile(archive, genesis.hashed.graph.archive, hashed.version.graph),
    hashedFile(archive, hashed.model.archive, hashed.model.sha256),
  ]);
  return { graph, parameters };
}

async function hashedFile(archive: Gateways, id: string, hash: Sha256Hex): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await archive.get(id);
  const got = await fileSha256(bytes);
  if (got !== hash) throw new Error(`the file ${id} has the SHA-256 ${got}, expected is ${hash}`);
  return bytes;
}
