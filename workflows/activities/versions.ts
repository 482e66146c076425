import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLayout, dequantiseModel, quantiseModel, stepsHash, type Layout } from '#core/layout.js';
import { randomUUID } from 'node:crypto';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { ModelRef } from '#core/messages.js';
import { versionId } from '#core/model.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { decodeVersion, encodeVersion } from '#core/versionFile.js';
import { sha256 } from '#services/sha256.js';
import type { Model } from '#trainer/model.js';
import type { Dependencies } from './dependencies.js';

/** Version 0 of a job: its grid comes from the weights it starts from. */
export async function genesisVersion(deps: Dependencies, model: Model): Promise<ModelRef> {
  const layout = createLayout(model.weights);
  const graph = await deps.artifacts.put(model.graph);
  return storeVersion(deps, { graph, layout, params: quantiseModel(layout, model.weights), velocity: null });
}

/** Stores parameters and optimiser state by content, and names the version (PROTOCOL 1). */
export async function storeVersion(
  deps: Dependencies,
  version: { graph: Hex; layout: Layout; params: Int32Array; velocity: Int32Array | null },
): Promise<ModelRef> {
  const { graph, layout, params, velocity } = version;
  const hashes = {
    graphHash: graph,
    paramsRoot: toHex(valuesRoot(sha256, LEAF.params, params)),
    stepsHash: stepsHash(sha256, layout),
    stateRoot: velocity ? toHex(valuesRoot(sha256, LEAF.state, velocity)) : ZERO_HASH,
  };
  const id = versionId(sha256, hashes);
  const [paramsFile, stateFile] = await Promise.all([
    deps.artifacts.put(encodeVersion(layout, params)),
    velocity ? deps.artifacts.put(encodeVersion(layout, velocity)) : null,
  ]);
  return {
    versionId: id,
    graph,
    params: paramsFile,
    state: stateFile,
    paramsRoot: hashes.paramsRoot,
    stepsHash: hashes.stepsHash,
    stateRoot: hashes.stateRoot,
  };
}

export async function loadVersion(
  deps: Dependencies,
  ref: ModelRef,
): Promise<{ layout: Layout; params: Int32Array; velocity: Int32Array | null }> {
  const { layout, params } = decodeVersion(await deps.artifacts.get(ref.params));
  const velocity = ref.state ? decodeVersion(await deps.artifacts.get(ref.state)).params : null;
  return { layout, params, velocity };
}

/** The float weights of a version as a safetensors file for the evaluator; made once per version. */
export async function weightsFile(deps: Dependencies, ref: ModelRef): Promise<string> {
  return scratchFile(deps, `weights-${ref.params.slice(2)}`, async () => {
    const { layout, params } = decodeVersion(await deps.artifacts.get(ref.params));
    const floats = dequantiseModel(layout, params);
    return encodeSafetensors(
      layout.tensors.map(({ name, shape, offset, size }) => ({
        name,
        dtype: 'F32' as const,
        shape,
        data: new Uint8Array(floats.buffer, offset * 4, size * 4),
      })),
    );
  });
}

/** An artifact as a file, for those who read by path. */
export function artifactFile(deps: Dependencies, sha: Hex): Promise<string> {
  return scratchFile(deps, sha.slice(2), () => deps.artifacts.get(sha));
}

async function scratchFile(
  deps: Dependencies,
  name: string,
  make: () => Promise<Uint8Array>,
): Promise<string> {
  const path = join(deps.scratch, name);
  if (await stat(path).catch(() => null)) return path;
  await mkdir(deps.scratch, { recursive: true });
  const unfinished = `${path}.${randomUUID()}`;
  await writeFile(unfinished, await make());
  await rename(unfinished, path);
  return path;
}
