import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRoundtableError } from '#core/errors.js';
import { toHex, type Hex, type Sha256Hex } from '#core/hex.js';
import { encodeUpdate, stepsHash, type Layout } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { trainTask, type TrainAnswer, type TrainTask, type TrainUpdate } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import { trainingSeed } from '#core/seed.js';
import { emptyUpdateFile } from '#core/updateFile.js';
import { decodeVersion } from '#core/versionFile.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import type { TrainProgress, TrainRequest, TrainResult } from '#trainer/run/messages.js';
import { checkData, checkTask } from './checkTask.js';
import type { DataSets } from './dataSets.js';
import type { Log } from './log.js';
import type { ModelCache } from './modelCache.js';
import type { DecisionLog } from './decisionLog.js';
import { checkPolicy, type Policy } from './policy.js';
import { checkHours } from './policy/hours.js';
import { checkMachine } from './policy/machine.js';
import { refuse, TaskRefusal } from './refusal.js';
import { readPolicy, type RunnerHome } from './runnerHome.js';
import type { RunnerKey } from './runnerKey.js';
import type { SignedWork } from './signedWork.js';
import type { StackClient } from './stackClient.js';
import type { Trainer } from './trainer.js';
import type { Turns } from './turns.js';
import { readWeights, writeWeights } from './weightFiles.js';

/** What training a task needs; everything is handed in. */
export interface TrainParts {
  home: RunnerHome;
  key: RunnerKey;
  stack: Pick<StackClient, 'upload'>;
  models: Pick<ModelCache, 'get' | 'trim'>;
  dataSets: Pick<DataSets, 'find'>;
  work: SignedWork;
  trainer: Trainer;
  turns: Pick<Turns, 'take'>;
  decisions: Pick<DecisionLog, 'append'>;
  /** Address of the member whose stack the tasks come from. */
  coordinator: Hex;
  log: Log;
}

export interface TrainControl {
  signal: AbortSignal;
  onProgress(task: TrainTask, progress: TrainProgress): void;
}

/** A killed training process is started again so often before the attempt counts as failed. */
const TRAINING_ATTEMPTS = 3;
const ATTEMPT = 'attempt-';

/**
 * One round for one runner: check, fetch, train, encode, sign, keep, upload. What is kept is the first and only
 * answer for its round: repeated, by the coordinator or after a kill, the task gives the same one.
 * @throws UPDATE_NOT_FINITE, UNAVAILABLE, TRAINING_CHILD_DIED, DISK_FULL and others; the signal's reason when aborted
 */
export async function trainUpdate(
  parts: TrainParts,
  input: unknown,
  control: TrainControl,
): Promise<TrainAnswer> {
  const { key, log } = parts;
  try {
    const task = parseTask(input);
    return await answerTask(parts, task, control);
  } catch (error) {
    if (!(error instanceof TaskRefusal)) throw error;
    log.warn({ code: error.code }, `refused a task: ${error.message}`);
    const refusal = { code: error.code, reason: error.message.slice(0, 1_000) };
    await parts.decisions.append({
      kind: 'refused',
      coordinator: parts.coordinator,
      ...nameOf(input),
      ...refusal,
    });
    return { kind: 'refused', runner: key.address, ...refusal };
  }
}

async function answerTask(parts: TrainParts, task: TrainTask, control: TrainControl): Promise<TrainUpdate> {
  const { home, key, work, stack, coordinator, log } = parts;
  const { job, round } = task.opening;
  checkTask(task, key.address, { ...home.config.chain, coordinator });
  const policy = await ownersPolicy(parts);
  const rule = checkPolicy(policy, task);

  const signed = await work.find(job, round);
  if (signed && signed.openHash !== task.opening.openHash)
    refuse(
      'ALREADY_SIGNED',
      `Round ${round} was signed for the opening ${signed.openHash}; a runner signs once for a round.`,
    );
  let update = signed ? await work.update(job, round, signed.answer) : null;
  let answer = signed?.answer;
  if (!update || !answer) {
    checkHours(policy.hours, new Date());
    const made = await inTurn(parts, task, { policy, rule }, control);
    await work.keep(job, round, { openHash: task.opening.openHash, answer: made.answer }, made.update);
    update = made.update;
    answer ??= made.answer;
  } else log.info({ job, round }, 'the update of this round was signed before; sending the same again');
  await stack.upload(update, answer.file, control.signal);
  await work.trim();
  return answer;
}

/** The machine is one: a task waits for those that came before it, of whatever stack. */
async function inTurn(
  parts: TrainParts,
  task: TrainTask,
  { policy, rule }: { policy: Policy; rule: number },
  control: TrainControl,
): Promise<{ answer: TrainUpdate; update: Uint8Array }> {
  const { turns, decisions, coordinator } = parts;
  const { opening, spec } = task;
  const endTurn = await turns.take(control.signal);
  try {
    await checkMachine(policy, control.signal);
    await decisions.append({
      kind: 'allowed',
      coordinator,
      job: opening.job,
      name: spec.name,
      round: opening.round,
      data: spec.data.contract,
      rule,
    });
    return await makeUpdate(parts, task, policy, control);
  } finally {
    endTurn();
  }
}

async function makeUpdate(
  parts: TrainParts,
  task: TrainTask,
  policy: Policy,
  control: TrainControl,
): Promise<{ answer: TrainUpdate; update: Uint8Array }> {
  const { key, work, models, dataSets } = parts;
  const { job, round } = task.opening;
  const data = checkData(task, await dataSets.find(task.spec.data.contract));
  const [graph, params] = await Promise.all([
    models.get(task.model.graph, control.signal),
    models.get(task.model.params, control.signal),
  ]);
  const base = decodeVersion(params.bytes);
  checkBase(task, base.layout, base.params);

  const folder = await work.open(job, round);
  // A folder of this attempt alone: a training process that outlives a killed runner for a moment cannot disturb it.
  await removeAttempts(folder);
  const attempt = await mkdtemp(join(folder, ATTEMPT));
  const files = { weights: join(attempt, 'weights.safetensors'), out: join(attempt, 'trained.safetensors') };
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
    },
    control,
  );
  const local = await readWeights(files.out, base.layout);
  const { dimension } = base.layout;
  const { file: update, delta } = emptyUpdateFile({
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

  const statement = {
    job,
    round,
    openHash: task.opening.openHash,
    updateRoot: toHex(valuesRoot(sha256, LEAF.update, delta)) as Sha256Hex,
    dimension,
    samples: data.contract.samples,
    steps: result.steps,
  };
  await Promise.all([removeAttempts(folder), models.trim()]);
  const answer: TrainUpdate = {
    kind: 'update',
    runner: key.address,
    file: sha256Hex(update),
    bytes: update.length,
    updateRoot: statement.updateRoot,
    dimension: statement.dimension,
    samples: statement.samples,
    steps: statement.steps,
    saturated,
    signature: key.signUpdate(task.domain, statement),
    training: result.runtime,
    loss: result.loss,
    seconds: (performance.now() - began) / 1_000,
  };
  return { answer, update };
}

async function train(
  { trainer, key, log }: TrainParts,
  task: TrainTask,
  request: Pick<TrainRequest, 'graph' | 'weights' | 'data' | 'out' | 'checkpoint' | 'throttle' | 'limits'>,
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

/** What a refused task says of itself, as far as it is one. */
function nameOf(input: unknown): { job: Hex | null; name: string | null; round: number | null } {
  const task = trainTask.safeParse(input).data;
  return {
    job: task?.opening.job ?? null,
    name: task?.spec.name ?? null,
    round: task?.opening.round ?? null,
  };
}

/** The newest file's root: runners that share a process train on the same one, and one tree is enough for them all. */
let newest: { file: Sha256Hex; root: Hex } | undefined;

/** @param file hash of the bytes that hold the values, which the model cache has checked */
function paramsRootOf(file: Sha256Hex, params: Int32Array): Hex {
  if (newest?.file !== file) newest = { file, root: toHex(valuesRoot(sha256, LEAF.params, params)) };
  return newest.root;
}

function parseTask(input: unknown): TrainTask {
  try {
    return parseMessage(trainTask, input, 'The task');
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    return refuse(error.code, error.message);
  }
}

async function ownersPolicy({ home, log }: TrainParts) {
  try {
    return await readPolicy(home.paths);
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    log.error({ code: error.code }, error.message);
    return refuse('POLICY_REFUSED', "The runner's policy cannot be read; its owner must correct it first.");
  }
}

async function removeAttempts(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name.startsWith(ATTEMPT)) await rm(join(folder, name), { recursive: true, force: true });
}
