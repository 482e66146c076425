import type { TrainTask } from '#core/messages.js';
import { traced } from '#services/telemetry/traces.js';
import { makeUpdate, type MadeUpdate } from './makeUpdate.js';
import { checkHours } from './policy/hours.js';
import { checkMachine } from './policy/machine.js';
import type { TaskTerms } from './takenTask.js';
import type { TrainControl, TrainParts } from './trainParts.js';

/**
 * Trains when it is the task's turn: the machine is one, and a task waits for those that came before it, of whatever stack.
 * @throws as makeUpdate; a refusal where the owner does not let it train now
 */
export async function trainInTurn(
  parts: TrainParts,
  task: TrainTask,
  terms: TaskTerms,
  control: TrainControl,
): Promise<MadeUpdate> {
  const { job, round } = task.opening;
  checkHours(terms.policy.hours, new Date());
  return traced(
    parts.traces,
    { name: 'train', of: { job, round }, attributes: { runner: parts.key.address } },
    () => inTurn(parts, task, terms, control),
    ({ answer: { samples, steps, bytes } }) => ({ samples, steps, bytes }),
  );
}

async function inTurn(
  parts: TrainParts,
  task: TrainTask,
  { policy, rule, readers }: TaskTerms,
  control: TrainControl,
): Promise<MadeUpdate> {
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
