import { afterAll, beforeAll } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Hex } from '#core/hex.js';
import { coordinatorQueue, jobWorkflowId } from '#core/names.js';
import type { RoundView } from '#core/views.js';
import { startTemporal } from '../support/temporal.js';
import { recordHistories } from './record.js';

let started: TestWorkflowEnvironment | undefined;
beforeAll(async () => {
  started = await startTemporal();
});
afterAll(async () => {
  if (started && process.env['RECORD_HISTORIES']) await recordHistories(started);
  await started?.teardown();
});

/** The Temporal of this test file, which runs from its first test to its last. */
export function temporal(): TestWorkflowEnvironment {
  if (!started) throw new Error('Temporal runs during tests only');
  return started;
}

export const start = (job: Hex) =>
  temporal().client.workflow.start('trainingJob', {
    workflowId: jobWorkflowId(job),
    taskQueue: coordinatorQueue,
    args: [{ job }],
  });

/** Starts a job, and waits for its end. */
export const finish = async (job: Hex) => (await start(job)).result();

export function last<T>(list: readonly T[]): T {
  const item = list.at(-1);
  if (item === undefined) throw new Error('the list is empty');
  return item;
}

export const lastOfRound = (rounds: readonly RoundView[], round: number): RoundView =>
  last(rounds.filter((view) => view.round === round));
