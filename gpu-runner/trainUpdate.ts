import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import { trainTask, type TrainAnswer, type TrainTask, type TrainUpdate } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import { traced } from '#services/telemetry/traces.js';
import { checkTask } from './checkTask.js';
import { checkPolicy, type Policy } from './policy.js';
import { checkHours } from './policy/hours.js';
import { checkMachine } from './policy/machine.js';
import { checkReaders } from './readers.js';
import { refuse, TaskRefusal } from './refusal.js';
import { readPolicy } from './runnerHome.js';
import { upload } from './upload.js';
import { makeUpdate } from './makeUpdate.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/**
 * One round for one runner: check, fetch, train, encode, sign, seal, keep, upload. What is kept is the first and only
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
  const { home, key, work, stack, coordinator, bandwidth, log, traces } = parts;
  const { job, round } = task.opening;
  const span = { of: { job, round }, attributes: { runner: key.address } };
  checkTask(task, key.address, { ...home.config.chain, coordinator });
  const policy = await ownersPolicy(parts);
  const rule = checkPolicy(policy, task);
  const readers = await checkReaders(task, parts.announcedKey);
  bandwidth.limit(policy.bandwidth);

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
    const made = await traced(
      traces,
      { name: 'train', ...span },
      () => inTurn(parts, task, { policy, rule, readers }, control),
      ({ answer: { samples, steps, bytes } }) => ({ samples, steps, bytes }),
    );
    answer = await work.keep(
      job,
      round,
      { openHash: task.opening.openHash, answer: made.answer },
      made.update,
    );
    update = made.update;
  } else log.info({ job, round }, 'the update of this round was signed before; sending the same again');
  const sealed = { bytes: update, sha256: answer.file };
  const { opening, place } = task;
  const expected = parts.receipts.expect(
    { coordinator, runner: key.address, opening, place, updateRoot: answer.updateRoot },
    task.spec.participants.deadlineSeconds,
  );
  expected.catch(() => undefined); // awaited below
  await traced(traces, { name: 'upload', ...span }, () =>
    upload(
      (...question) => stack.ask(...question),
      sealed.bytes,
      { sha256: sealed.sha256, size: sealed.bytes.length, update: { job, round } },
      {
        signal: control.signal,
        throttle: bandwidth.up,
        rules: stack.rules,
        memo: work.memo(job, round, sealed.sha256),
        onProgress: (bytes) => control.onTransfer?.({ direction: 'up', bytes }),
      },
    ),
  );
  control.onTransfer?.(null);
  await expected;
  await parts.decisions.append({
    kind: 'sent',
    coordinator,
    job,
    name: task.spec.name,
    round,
    updateRoot: answer.updateRoot,
    samples: answer.samples,
    bytes: update.length,
  });
  await work.trim();
  return answer;
}

/** The machine is one: a task waits for those that came before it, of whatever stack. */
async function inTurn(
  parts: TrainParts,
  task: TrainTask,
  { policy, rule, readers }: { policy: Policy; rule: number; readers: readonly Recipient[] },
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
    return await makeUpdate(parts, task, { policy, readers }, control);
  } finally {
    endTurn();
  }
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
