import { hashJson } from '#core/canonicalJson.js';
import { toHex, type Hex } from '#core/hex.js';
import { createLayout, dequantiseModel, quantiseModel, valuesOf } from '#core/layout.js';
import { genesisManifest, type GenesisManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { readGraph } from '#trainer/graph.js';
import { termsOf } from '#services/chain/terms.js';
import type { JobRecord } from './chainRecord.js';
import { same, Wrong, type Checklist } from './checklist.js';
import {
  checkManifest,
  checkModelFile,
  checkVersionId,
  sameJson,
  type ModelFiles,
  type OpenedModel,
} from './documents.js';
import type { AuditSources } from './sources.js';

export interface Genesis {
  manifest: GenesisManifest['hashed'];
  files: ModelFiles;
  model: OpenedModel;
}

/**
 * The version a job starts from: its manifest, graph and parameters, and its descent.
 * @param parent the opened model of the version it goes on from; undefined when that was not opened
 */
export async function checkGenesis(
  list: Checklist,
  sources: AuditSources,
  { job }: JobRecord,
  parent: OpenedModel | undefined,
): Promise<Genesis> {
  const subject = 'start';
  const { hashed } = await checkManifest(list, sources, {
    subject,
    schema: genesisManifest,
    archiveId: job.archiveId,
    hash: job.manifestHash,
  });
  await list.check(subject, 'identity', 'manifest against the chain', () => {
    same('the job', hashed.job, job.job);
    same('the coordinator', hashed.coordinator, job.coordinator);
    checkDomain(sources, hashed.domain);
    same('the hash of the spec', hashJson(sources.hash, hashed.spec), hashed.specHash);
    same('the spec hash on chain', job.specHash, hashed.specHash);
    same('the number of rounds', job.rounds, hashed.spec.rounds);
    same('the budget', job.budget, BigInt(hashed.spec.rewards.budget));
    sameJson(sources, 'the terms on chain', job.terms, termsOf(hashed.spec, job.terms.dimension));
    same('the parent version', hashed.parent, job.parentVersion);
    same('the version', hashed.version.versionId, job.genesisVersion);
  });
  await checkVersionId(list, sources, subject, hashed.version);
  await list.check(subject, 'graph', 'Arweave data root, SHA-256, read as ONNX', async (say) => {
    const graph = await sources.archive.get(hashed.graph.archive);
    same('its SHA-256', toHex(sources.hash(graph)), hashed.graph.sha256);
    same('the graph of the version', hashed.version.graph, hashed.graph.sha256);
    say(`${readGraph(graph).nodes.length} nodes`);
  });
  const files = { sealed: hashed.spec.archive.recipients !== null, model: hashed.model, state: null };
  const model = await checkModelFile(list, sources, subject, hashed.version, files);
  if (model)
    await list.check(subject, 'dimension', 'model file against the chain', () =>
      same('the number of parameters', model.layout.dimension, job.terms.dimension),
    );
  if (parent !== undefined) await checkDescent(list, sources, parent, model, hashed.version.paramsRoot);
  return { manifest: hashed, files, model };
}

/** @throws Wrong when signatures were made for another chain or contract */
export function checkDomain({ chain }: AuditSources, domain: { chainId: number; jobs: Hex }): void {
  same('the chain id', domain.chainId, chain.deployment.chainId);
  same('the Jobs contract', domain.jobs, chain.deployment.jobs);
}

/** A job that goes on from a version takes its float weights over onto a grid of its own. */
async function checkDescent(
  list: Checklist,
  sources: AuditSources,
  parent: OpenedModel,
  model: OpenedModel,
  paramsRoot: Hex,
): Promise<void> {
  const how = "the parent's weights on the grid of this job";
  if (!parent || !model) {
    list.unchecked('start', 'descent', how, "the parent's or this version's parameters are sealed");
    return;
  }
  await list.check('start', 'descent', how, () => {
    const floats = dequantiseModel(parent.layout, parent.params);
    const weights = parent.layout.tensors.map((tensor) => ({
      name: tensor.name,
      dims: tensor.shape,
      data: valuesOf(floats, tensor),
    }));
    const params = quantiseModel(createLayout(weights), weights);
    if (toHex(valuesRoot(sources.hash, LEAF.params, params)) !== paramsRoot)
      throw new Wrong('the parameters are not those of the parent version');
  });
}
