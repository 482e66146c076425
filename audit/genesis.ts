import { hashJson } from '#core/canonicalJson.js';
import { toHex, type Hex } from '#core/hex.js';
import { createLayout, floatTensors, quantiseModel } from '#core/layout.js';
import { genesisManifest, type GenesisManifest } from '#core/manifest.js';
import { readGraph } from '#trainer/graph.js';
import { termsOf } from '#services/chain/terms.js';
import type { JobRecord } from './chainRecord.js';
import { same, type Checklist } from './checklist.js';
import { firstDifference } from './difference.js';
import { checkManifest, sameJson } from './documents.js';
import type { AuditChain, AuditSources } from './sources.js';
import { checkVersion, type OpenedModel } from './version.js';

export interface Genesis {
  manifest: GenesisManifest['hashed'];
  model: OpenedModel;
  /** Parameters, as the chain has them. */
  dimension: number;
}

/**
 * The version a job starts from: its manifest, graph and parameters, and its descent.
 * @param parent the opened model of the version it goes on from; undefined when that was not opened
 */
export async function checkGenesis(
  list: Checklist,
  sources: AuditSources<AuditChain>,
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
  const graph = await list.check(
    subject,
    'graph',
    'Arweave data root, SHA-256, read as ONNX',
    async (say) => {
      const file = await sources.archive.get(hashed.graph.archive);
      same('its SHA-256', toHex(sources.hash(file)), hashed.graph.sha256);
      same('the graph of the version', hashed.version.graph, hashed.graph.sha256);
      const read = readGraph(file);
      say(`${read.nodes.length} nodes`);
      return read;
    },
  );
  const model = await checkVersion(list, sources, subject, hashed);
  if (model)
    await list.check(subject, 'dimension', 'model file against chain and graph', () => {
      same('the number of parameters', model.layout.dimension, job.terms.dimension);
      sameJson(
        sources,
        'the list of tensors',
        model.layout.tensors.map(({ name, shape }) => [name, shape]),
        graph.weights.map(({ name, shape }) => [name, shape]),
      );
    });
  if (parent !== undefined) await checkDescent(list, parent, model);
  return { manifest: hashed, model, dimension: job.terms.dimension };
}

/** @throws Wrong when signatures were made for another chain or contract */
export function checkDomain(
  { chain }: AuditSources<AuditChain>,
  domain: { chainId: number; jobs: Hex },
): void {
  same('the chain id', domain.chainId, chain.deployment.chainId);
  same('the Jobs contract', domain.jobs, chain.deployment.jobs);
}

/** A job that goes on from a version takes its float weights over onto a grid of its own. */
async function checkDescent(list: Checklist, parent: OpenedModel, model: OpenedModel): Promise<void> {
  const how = "the parent's weights on the grid of this job";
  if (!parent || !model) {
    list.unchecked('start', 'descent', how, "the parent's or this version's parameters are sealed");
    return;
  }
  await list.check('start', 'descent', how, () => {
    const weights = floatTensors(parent.layout, parent.params);
    const layout = createLayout(weights);
    const namesOf = ({ tensors }: typeof layout) =>
      tensors.map(({ name, shape, exponent }) => `${name} [${shape.join(', ')}] 2^${exponent}`).join('; ');
    same('the grid', namesOf(model.layout), namesOf(layout));
    const params = quantiseModel(layout, weights);
    firstDifference(model.layout, model.params, params, 'parameter', 'the parent version gives');
  });
}
