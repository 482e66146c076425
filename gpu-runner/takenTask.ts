/** What every task of a round goes through before anything is done for it. */
import type { z } from 'zod';
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import { trainTask, type TrainAnswer, type TrainTask } from '#core/messages.js';
import { parseMessage } from '#core/schema.js';
import { checkTask } from './checkTask.js';
import { checkPolicy, type Policy } from './policy.js';
import { checkReaders } from './readers.js';
import { refuse, TaskRefusal } from './refusal.js';
import { readPolicy } from './runnerHome.js';
import type { TrainParts } from './trainParts.js';

/** Under what a task is done. */
export interface TaskTerms {
  policy: Policy;
  /** Number of the policy's rule that allows it. */
  rule: number;
  /** Who can read the update. */
  readers: readonly Recipient[];
}

/** Does a task; a refusal becomes an answer, and is noted. */
export async function orRefused(
  parts: TrainParts,
  input: unknown,
  work: () => Promise<TrainAnswer>,
): Promise<TrainAnswer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TaskRefusal)) throw error;
    parts.log.warn({ code: error.code }, `refused a task: ${error.message}`);
    const refusal = { code: error.code, reason: error.message.slice(0, 1_000) };
    await parts.decisions.append({
      kind: 'refused',
      coordinator: parts.coordinator,
      ...nameOf(input),
      ...refusal,
    });
    return { kind: 'refused', runner: parts.key.address, ...refusal };
  }
}

/** @throws a refusal for what is not a task of this form */
export function parseTask<T extends z.ZodType<TrainTask>>(schema: T, input: unknown): z.output<T> {
  try {
    return parseMessage(schema, input, 'The task');
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    return refuse(error.code, error.message);
  }
}

/**
 * Whether the runner may do a task: it is its own, its owner allows it, its readers are who they should be, and nothing was
 * sealed or signed for another opening of the round.
 * @throws a refusal
 */
export async function checkTerms(parts: TrainParts, task: TrainTask): Promise<TaskTerms> {
  const { home, key, work, coordinator, bandwidth } = parts;
  checkTask(task, key.address, { ...home.config.chain, coordinator });
  const policy = await ownersPolicy(parts);
  const rule = checkPolicy(policy, task);
  const readers = await checkReaders(task, parts.announcedKey);
  bandwidth.limit(policy.bandwidth);
  const { job, round, openHash } = task.opening;
  const kept = (await work.find(job, round)) ?? (await work.seals.find(job, round));
  if (kept && kept.openHash !== openHash)
    refuse(
      'ALREADY_SIGNED',
      `Round ${round} was signed for the opening ${kept.openHash}; a runner signs once for a round.`,
    );
  return { policy, rule, readers };
}

/** What a refused task says of itself, as far as it is one. */
function nameOf(input: unknown): { job: Hex | null; name: string | null; round: number | null } {
  const task = trainTask.loose().safeParse(input).data;
  return {
    job: task?.opening.job ?? null,
    name: task?.spec.name ?? null,
    round: task?.opening.round ?? null,
  };
}

async function ownersPolicy({ home, log }: TrainParts): Promise<Policy> {
  try {
    return await readPolicy(home.paths);
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    log.error({ code: error.code }, error.message);
    return refuse('POLICY_REFUSED', "The runner's policy cannot be read; its owner must correct it first.");
  }
}
