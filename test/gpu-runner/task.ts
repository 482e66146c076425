import { hashJson } from '#core/canonicalJson.js';
import type { Hex, JobId, Sha256Hex } from '#core/hex.js';
import { toHex, ZERO_HASH } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { createLayout, quantiseModel, stepsHash } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { ModelRef, TrainTask } from '#core/messages.js';
import { versionId } from '#core/model.js';
import { openHash, selectionPlaces } from '#core/openHash.js';
import { encodeVersion } from '#core/versionFile.js';
import type { Artifacts } from '#services/artifacts.js';
import { sha256 } from '#services/sha256.js';
import { readModel } from '#trainer/model.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { chain, coordinator } from './api.js';

/** Four features, eight hidden units, two classes; big `scale`s make coarse grids. */
export function smallModel(scale = 0.5): Uint8Array {
  const weights: [name: string, shape: number[]][] = [
    ['a.weight', [4, 8]],
    ['a.bias', [8]],
    ['b.weight', [8, 2]],
    ['b.bias', [2]],
  ];
  const builder = new GraphBuilder();
  const hidden = builder.node('Relu', [builder.node('Gemm', ['input', 'a.weight', 'a.bias'])]);
  builder.node('Gemm', [hidden, 'b.weight', 'b.bias'], {}, 'logits');
  const graph = builder.graph(
    'small',
    [valueInfo('input', ['batch', 4])],
    [valueInfo('logits', ['batch', 2])],
  );
  for (const [name, shape] of weights) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    graph.initializer.push(
      floatTensor(
        name,
        shape,
        Float32Array.from({ length: size }, (_, i) => scale * Math.sin(3 * i + 1)),
      ),
    );
  }
  return encodeModel(graph, 17);
}

/** Stores version 0 of a model. */
export async function storeModel(artifacts: Artifacts, onnx: Uint8Array): Promise<ModelRef> {
  const model = readModel(onnx);
  const layout = createLayout(model.weights);
  const params = quantiseModel(layout, model.weights);
  const hashes = {
    graph: await artifacts.put(model.graph),
    paramsRoot: toHex(valuesRoot(sha256, LEAF.params, params)) as Sha256Hex,
    stepsHash: stepsHash(sha256, layout),
    stateRoot: ZERO_HASH,
  };
  return {
    ...hashes,
    params: await artifacts.put(encodeVersion(layout, params)),
    state: null,
    versionId: versionId(sha256, { ...hashes, graphHash: hashes.graph }),
  };
}

export function smallSpec(change: { training?: Partial<JobSpec['training']>; name?: string } = {}): JobSpec {
  return {
    version: 1,
    name: change.name ?? 'digits',
    data: { contract: 'digits', input: [4], classes: 2 },
    rounds: 2,
    start: 'model',
    model: { sha256: `0x${'11'.repeat(32)}` },
    evaluation: null,
    training: {
      loss: 'softmax_cross_entropy',
      optimizer: { name: 'sgd', lr: 0.1 },
      epochs: 1,
      batch: 4,
      prox: 0,
      ...change.training,
    },
    aggregation: { rule: 'fedavg', rate: { numerator: 1, denominator: 1 } },
    participants: { quorum: 1, most: 64, graceFactor: 2, deadlineSeconds: 60, allowSaturated: 0 },
    rewards: { budget: '0', rule: 'samples' },
    archive: { recipients: null },
  };
}

let jobs = 0;

/** A task as a coordinator makes it, of a job that no other task has unless given. */
export function makeTask(
  runner: Hex,
  model: ModelRef,
  change: { spec?: JobSpec; job?: JobId; round?: number; maxSamples?: number; others?: Hex[] } = {},
): TrainTask {
  const spec = change.spec ?? smallSpec();
  const selection = [runner, ...(change.others ?? [])]
    .sort()
    .map((address) => ({ runner: address, maxSamples: change.maxSamples ?? 1_000_000 }));
  const fields = {
    job: change.job ?? (`0x${(++jobs).toString(16).padStart(64, '0')}` as const),
    round: change.round ?? 1,
    baseVersion: model.versionId,
    specHash: hashJson(sha256, spec),
    shift: 0,
    selection,
  };
  const index = selection.findIndex((selected) => selected.runner === runner);
  const [place = { index, count: 0, proof: [] }] = selectionPlaces(sha256, selection, index, index + 1);
  return {
    protocol: 1,
    coordinator,
    runner,
    domain: { chainId: chain.chainId, jobs: chain.jobs },
    opening: {
      ...fields,
      selection: selection.slice(index, index + 1),
      openHash: openHash(sha256, fields),
    },
    place,
    model,
    spec,
  };
}
