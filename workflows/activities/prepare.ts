import { RoundtableError } from '#core/errors.js';
import { hashJson, canonicalBytes } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import { floatTensors } from '#core/layout.js';
import type { JobSpec } from '#core/jobSpec.js';
import { manifestHash, type GenesisManifest } from '#core/manifest.js';
import type { ModelRef } from '#core/messages.js';
import { takeOverTrigger } from '#core/names.js';
import { shardsFor } from '#core/shards.js';
import type { VersionView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import { readModel, type Model } from '#trainer/model.js';
import { checkTrainable } from '#trainer/trainable.js';
import { whatIsTrained } from '#trainer/trained.js';
import type { PreparedJob } from '../types.js';
import { archiveTags, archiveVersionFile } from './archive.js';
import type { Dependencies } from './dependencies.js';
import { evaluateVersion } from './evaluate.js';
import { prepareTakeOver } from './takeOver.js';
import { loadVersion, genesisVersion } from './versions.js';

/** Bytes of a model file: no protobuf may have more. */
const largestModel = 2 * 1024 ** 3;

/**
 * Checks the spec against what it names, makes or finds version 0, evaluates and archives it. Everything is
 * stored by content, so doing it again after a crash changes nothing.
 * @throws NOT_FOUND, JOB_INVALID, and the trainer's MODEL_… errors
 */
export async function prepareJob(deps: Dependencies, job: Hex): Promise<PreparedJob> {
  const row = await deps.table.getJob(job);
  if (!row) throw new RoundtableError('NOT_FOUND', `There is no row for job ${job}; submit it again.`);
  const { spec, trigger, delivery, createdAt } = row;
  checkReaders(deps, spec);
  if (row.trigger === takeOverTrigger) return prepareTakeOver(deps, row);
  const bytes = await deps.artifacts.get(spec.model.sha256, largestModel);
  const model = readModel(bytes, whatIsTrained(spec.training));
  checkTrainable(model, spec.training, spec.data);
  const latest = spec.start === 'latest' ? await deps.table.latestVersion(spec.name) : null;
  const base = latest ? await continued(deps, spec, model, latest) : await genesisVersion(deps, model);
  const specHash = hashJson(sha256, spec);
  const evaluation = await evaluateVersion(deps, spec, base);

  const [graph, archived] = await Promise.all([
    deps.artifacts
      .get(base.graph)
      .then((bytes) =>
        deps.archive.put(bytes, archiveTags('graph', job, { 'Content-Type': 'application/onnx' })),
      ),
    archiveVersionFile(
      deps,
      spec,
      base.params,
      archiveTags('model', job, { Round: '0', Version: base.versionId }),
    ),
  ]);
  const manifest: GenesisManifest = {
    hashed: {
      kind: 'genesis',
      protocol: 1,
      coordinator: deps.coordinator,
      domain: deps.domain,
      job,
      spec,
      specHash,
      parent: latest?.model.versionId ?? null,
      version: {
        versionId: base.versionId,
        graph: base.graph,
        paramsRoot: base.paramsRoot,
        stepsHash: base.stepsHash,
        stateRoot: base.stateRoot,
      },
      graph: { sha256: base.graph, archive: graph.id },
      model: { sha256: base.params, archive: archived },
    },
    measured: { ...evaluation, origin: { trigger, delivery, createdAt } },
  };
  const hash = manifestHash(sha256, manifest);
  const { id } = await deps.archive.put(
    canonicalBytes(manifest),
    archiveTags('manifest', job, { Round: '0', 'Manifest-Hash': hash, 'Content-Type': 'application/json' }),
  );
  const archive = { model: archived, manifest: id, manifestHash: hash };
  const number = latest?.number ?? 0;
  if (base.versionId !== latest?.model.versionId)
    await deps.table.putVersion({
      seq: 1,
      updatedAt: new Date().toISOString(),
      lineage: spec.name,
      number,
      model: base,
      parent: latest?.model.versionId ?? null,
      job,
      round: 0,
      accuracy: evaluation.accuracy,
      archive,
    });
  const { dimension } = (await loadVersion(deps, base)).layout;
  return {
    job,
    spec,
    specHash,
    coordinator: deps.coordinator,
    domain: deps.domain,
    view: { trigger, delivery, createdAt },
    parent: latest?.model.versionId ?? null,
    base,
    dimension,
    shards: shardsFor(dimension, deps.shardRules, spec.aggregation.robust && spec.participants.most),
    baseNumber: number,
    graphArchive: graph.id,
    archive,
    ...evaluation,
  };
}

/** Updates that this stack could not open would cost every round. */
function checkReaders({ coordinator, sealingKey }: Dependencies, { updates }: JobSpec): void {
  const own = updates.recipients.find(({ member }) => member === coordinator);
  if (own?.publicKey !== sealingKey)
    throw new RoundtableError(
      'JOB_INVALID',
      `The job has updates sealed for ${own ? `the key ${own.publicKey}` : 'no key'} of coordinator ${coordinator}, whose key is ${sealingKey}. Submit it again.`,
    );
}

/** The newest version of the lineage, if the job's model is the same network. */
async function continued(
  deps: Dependencies,
  spec: JobSpec,
  model: Model,
  latest: VersionView,
): Promise<ModelRef> {
  const graph = await deps.artifacts.put(model.graph);
  if (graph !== latest.model.graph)
    throw new RoundtableError(
      'JOB_INVALID',
      `The newest version of "${spec.name}" was made with another network than the job's model file. ` +
        'Give the job another name, or write `start: model` to begin anew under this one.',
      { details: { expected: latest.model.graph, actual: graph } },
    );
  // A new job fixes a new grid; the server optimiser starts at rest.
  const { layout, params } = await loadVersion(deps, latest.model);
  return genesisVersion(deps, { ...model, weights: floatTensors(layout, params) });
}
