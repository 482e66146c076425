import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRoundtableError } from '#core/errors.js';
import { toHex, type Hex, type Sha256Hex } from '#core/hex.js';
import { encodeUpdate, stepsHash, type Layout } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { claimedSamples, type Recipient } from '#core/jobSpec.js';
import type { TrainTask, TrainUpdate } from '#core/messages.js';
import { trainingSeed } from '#core/seed.js';
import { emptyUpdateFile } from '#core/updateFile.js';
import { decodeVersion } from '#core/versionFile.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { sealUpdate } from '#services/updateSealing.js';
import type { TrainRequest, TrainResult } from '#trainer/run/messages.js';
import { checkData } from './checkTask.js';
import type { Policy } from './policy.js';
import { refuse } from './refusal.js';
import { readWeights, writeWeights } from './weightFiles.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/** A killed training process is started again so often before the attempt counts as failed. */
const TRAINING_ATTEMPTS = 3;
const ATTEMPT = 'attempt-';

/** What a runner answers with once it has signed for it. */
export type UnsignedUpdate = Omit<TrainUpdate, 'signature' | 'salt'>;

export interface MadeUpdate {
  answer: UnsignedUpdate;
  /** The file, as it is uploaded. */
  update: Uint8Array;
}

/**
 * The update of a task: fetched, trained, encoded, encrypted for its readers. Nothing is signed, kept or sent yet.
 * @throws a refusal; UPDATE_NOT_FINITE, UNAVAILABLE, TRAINING_CHILD_DIED and others; the signal's reason when aborted
 */
export async function makeUpdate(
  parts: TrainParts,
  task: TrainTask,
  { policy, readers }: { policy: Policy; readers: readonly Recipient[] },
  control: TrainControl,
): Promise<MadeUpdate> {
  const { key, work, models, dataSets } = parts;
  const { job, round } = task.opening;
  const data = checkData(task, await dataSets.find(task.spec.data.contract));
  const [graph, params] = await Promise.all([
    models.get(task.model.graph, control.signal),
    models.get(task.model.params, control.signal, (bytes) =>
      control.onTransfer?.({ direction: 'down', bytes }),
    ),
  ]);
  control.onTransfer?.(null);
  const base = decodeVersion(params.bytes);
  checkBase(task, base.layout, base.params);

  const folder = await work.open(job, round);
  // A folder of this attempt alone: a training process that outlives a killed runner for a moment cannot disturb it.
  await removeAttempts(folder);
  const attempt = await mkdtemp(join(folder, ATTEMPT));
  const files = { weights: join(attempt, 'weights.safetensors'), out: join(attempt, 'trained.safetensors') };
  const isLocal = task.spec.training.batchNorm === 'local';
  const before = isLocal ? await parts.statistics.before(task) : undefined;
  const statistics = {
    ...(before === undefined ? {} : { before }),
    out: join(attempt, 'statistics.safetensors'),
  };
  const began = performance.now();
  await writeWeights(files.weights, base.layout, base.params);
  const result = await train(
    parts,
    task,
    {
      graph: graph.path,
      data: data.path,
      // Beside the attempts: a runner that was killed goes on from where its training was.
      checkpoint: join(folder, 'checkpoint.safetensors'),
      throttle: policy.throttle,
      limits: limitsOf(policy),
      ...files,
      ...(isLocal ? { statistics } : {}),
    },
    control,
  );
  if (isLocal) await parts.statistics.keep(task, statistics.out);
  const local = await readWeights(files.out, base.layout);
  const { dimension } = base.layout;
  const { file: plain, delta } = emptyUpdateFile({
    job,
    round,
    runner: key.address,
    ring: 'i32',
    dimension,
  });
  const { saturated } = encodeUpdate(base.layout, local, base.params, delta);
  if (saturated > task.spec.participants.allowSaturated)
    refuse(
      'UPDATE_SATURATED',
      `${saturated} values of the update do not fit into 32 bits; the job allows ${task.spec.participants.allowSaturated}.`,
    );

  const updateRoot = toHex(valuesRoot(sha256, LEAF.update, delta)) as Sha256Hex;
  await Promise.all([removeAttempts(folder), models.trim()]);
  const update = sealUpdate(plain, readers, { job, round, runner: key.address });
  const answer: UnsignedUpdate = {
    kind: 'update',
    runner: key.address,
    file: sha256Hex(update),
    bytes: update.length,
    updateRoot,
    dimension,
    samples: claimedSamples(task.spec.data, data.contract.samples),
    steps: result.steps,
    saturated,
    training: result.runtime,
    loss: result.loss,
    seconds: (performance.now() - began) / 1_000,
  };
  return { answer, update };
}

async function train(
  { trainer, key, log }: TrainParts,
  task: TrainTask,
  request: Pick<
    TrainRequest,
    'graph' | 'weights' | 'data' | 'out' | 'checkpoint' | 'throttle' | 'limits' | 'statistics'
  >,
  control: TrainControl,
): Promise<TrainResult> {
  const { job, round } = task.opening;
  const { training } = task.spec;
  const seed = trainingSeed(sha256, { job, round, runner: key.address });
  for (let attempt = 1; ; attempt++) {
    try {
      return await trainer.train(
        { ...training, ...request, seed },
        {
          signal: control.signal,
          onProgress: (progress) => control.onProgress(task, progress),
          // The round waits no longer than this, whatever its coordinator says later.
          seconds: task.spec.participants.deadlineSeconds,
        },
      );
    } catch (error) {
      control.signal.throwIfAborted();
      if (!isRoundtableError(error, 'TRAINING_CHILD_DIED') || attempt === TRAINING_ATTEMPTS) throw error;
      log.warn({ job, round, attempt, error: error.message }, 'the training process died; starting it again');
    }
  }
}

function limitsOf({ limits: { memoryMegabytes, minutes } }: Policy): NonNullable<TrainRequest['limits']> {
  return {
    ...(memoryMegabytes === undefined ? {} : { memoryBytes: memoryMegabytes * 2 ** 20 }),
    ...(minutes === undefined ? {} : { seconds: minutes * 60 }),
  };
}

/** The parameter file is the base version that the round committed to, or nothing is trained on it. */
function checkBase(task: TrainTask, layout: Layout, params: Int32Array): void {
  if (stepsHash(sha256, layout) !== task.model.stepsHash)
    refuse('OPENING_INVALID', "The parameter file's grids are not the ones that the round committed to.");
  if (paramsRootOf(task.model.params, params) !== task.model.paramsRoot)
    refuse('OPENING_INVALID', "The parameter file's values are not the ones that the round committed to.");
}

/** The newest file's root: runners that share a process train on the same one, and one tree is enough for them all. */
let newest: { file: Sha256Hex; root: Hex } | undefined;

/** @param file hash of the bytes that hold the values, which the model cache has checked */
function paramsRootOf(file: Sha256Hex, params: Int32Array): Hex {
  if (newest?.file !== file) newest = { file, root: toHex(valuesRoot(sha256, LEAF.params, params)) };
  return newest.root;
}

async function removeAttempts(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name.startsWith(ATTEMPT)) await rm(join(folder, name), { recursive: true, force: true });
}
