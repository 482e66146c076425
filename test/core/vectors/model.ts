/** A model version, its files and ids (PROTOCOL sections 1 and 2). */
import { toHex, ZERO_HASH } from '#core/hex.js';
import { createLayout, quantiseModel, stepsHash } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { trainingSeed } from '#core/seed.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { encodeVersion } from '#core/versionFile.js';
import { sha256 } from '#services/sha256.js';
import { hex, int32 } from './inputs.js';

export function model(): unknown {
  const weights = [
    { name: 'fc.weight', dims: [2, 3], data: Float32Array.of(0.5, -0.25, 1, 0, -1, 0.1) },
    { name: 'fc.bias', dims: [2], data: Float32Array.of(3, -1.5) },
    { name: '\uff5a', dims: [], data: Float32Array.of(0.75) },
    { name: '\ud835\udc9c', dims: [1], data: Float32Array.of(-100) },
  ];
  const layout = createLayout(weights);
  const params = quantiseModel(layout, weights);
  const state = int32('state', layout.dimension);
  const hashes = {
    graphHash: hex('graph'),
    paramsRoot: toHex(valuesRoot(sha256, LEAF.params, params)),
    stepsHash: stepsHash(sha256, layout),
  };
  const stateRoot = toHex(valuesRoot(sha256, LEAF.state, state));
  const of = { job: hex('job'), round: 7, runner: hex('runner', 20) };
  return {
    weights: weights.map(({ name, dims, data }) => ({ name, dims, data: [...data] })),
    tensors: layout.tensors,
    params: [...params],
    versions: [
      { ...hashes, stateRoot: ZERO_HASH, versionId: versionId(sha256, { ...hashes, stateRoot: ZERO_HASH }) },
      { ...hashes, state: [...state], stateRoot, versionId: versionId(sha256, { ...hashes, stateRoot }) },
    ],
    versionFile: toHex(encodeVersion(layout, params)),
    update: {
      ...of,
      delta: [...state],
      updateRoot: toHex(valuesRoot(sha256, LEAF.update, state)),
      file: toHex(encodeUpdateFile({ ...of, ring: 'i32', sections: { delta: state } })),
    },
    seeds: [{ ...of, seed: toHex(trainingSeed(sha256, of)) }],
  };
}
