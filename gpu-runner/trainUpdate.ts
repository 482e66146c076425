import type { UpdateStatement } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { trainTask, type TrainAnswer, type TrainTask, type TrainUpdate } from '#core/messages.js';
import type { UnsignedUpdate } from './makeUpdate.js';
import type { RunnerKey } from './runnerKey.js';
import { sealedUpdate } from './sealedUpdate.js';
import { sendUpdate } from './sendUpdate.js';
import { checkTerms, orRefused, parseTask, type TaskTerms } from './takenTask.js';
import { trainInTurn } from './trainInTurn.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/**
 * One round for one runner: check, fetch, train, encode, encrypt, sign, keep, upload. What is kept is the first and only
 * answer for its round: repeated, by the coordinator or after a kill, the task gives the same one. Where the job has runners
 * seal first, it ends with the seal, and the rest waits for revealUpdate.
 * @throws UPDATE_NOT_FINITE, UNAVAILABLE, TRAINING_CHILD_DIED, DISK_FULL and others; the signal's reason when aborted
 */
export function trainUpdate(parts: TrainParts, input: unknown, control: TrainControl): Promise<TrainAnswer> {
  return orRefused(parts, input, async () => {
    const task = parseTask(trainTask, input);
    const terms = await checkTerms(parts, task);
    return task.spec.sealFirst
      ? sealTask(parts, task, terms, control)
      : sendUpdate(parts, task, await signedUpdate(parts, task, terms, control), control);
  });
}

/** What a runner signs of its update. */
export function signUpdate(
  key: Pick<RunnerKey, 'signUpdate'>,
  { domain, opening }: Pick<TrainTask, 'domain' | 'opening'>,
  { updateRoot, dimension, samples, steps }: UnsignedUpdate,
): Hex {
  const { job, round, openHash } = opening;
  const statement: UpdateStatement = { job, round, openHash, updateRoot, dimension, samples, steps };
  return key.signUpdate(domain, statement);
}

/** As it was signed before, or made, signed and kept now. */
async function signedUpdate(
  parts: TrainParts,
  task: TrainTask,
  terms: TaskTerms,
  control: TrainControl,
): Promise<{ answer: TrainUpdate; update: Uint8Array }> {
  const { key, work, log } = parts;
  const { job, round, openHash } = task.opening;
  const signed = await work.find(job, round);
  const kept = signed && (await work.update(job, round, signed.answer));
  if (signed && kept) {
    log.info({ job, round }, 'the update of this round was signed before; sending the same again');
    return { answer: signed.answer, update: kept };
  }
  const made = await trainInTurn(parts, task, terms, control);
  const given = { ...made.answer, signature: signUpdate(key, task, made.answer) };
  const answer = await work.keep(job, round, { openHash, answer: given }, made.update);
  return { answer, update: made.update };
}

async function sealTask(
  parts: TrainParts,
  task: TrainTask,
  terms: TaskTerms,
  control: TrainControl,
): Promise<TrainAnswer> {
  const { key, coordinator, decisions } = parts;
  const {
    kept: { seal, signature },
  } = await sealedUpdate(parts, task, terms, control);
  const { job, round } = task.opening;
  await decisions.append({ kind: 'sealed', coordinator, job, name: task.spec.name, round, seal });
  return { kind: 'sealed', runner: key.address, seal, signature };
}
