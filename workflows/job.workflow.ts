import {
  CancellationScope,
  ParentClosePolicy,
  condition,
  continueAsNew,
  defineSignal,
  executeChild,
  isCancellation,
  setHandler,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { retentionWorkflowId, roundWorkflowId, signalNames } from '#core/names.js';
import type { JobState, JobView, Problem } from '#core/views.js';
import { problemOf } from './problem.workflow.js';
import { chain, coordinator, quick } from './proxies.workflow.js';
import { retention } from './retention.workflow.js';
import { trainingRound } from './round.workflow.js';
import type { JobInput, JobProgress } from './types.js';

export const pauseSignal = defineSignal(signalNames.pause);
export const resumeSignal = defineSignal(signalNames.resume);
export const cancelSignal = defineSignal(signalNames.cancel);

/**
 * One training job, from its row in the table to its last round. Each round is a child, so that this history
 * stays short; it continues as new between rounds. Pause takes effect before the next round, cancel at once.
 */
export async function trainingJob(input: JobInput): Promise<void> {
  let paused = input.progress?.paused ?? false;
  let cancelled = false;
  const stopped = () => cancelled;
  const rounds = new CancellationScope();
  setHandler(pauseSignal, () => void (paused = true));
  setHandler(resumeSignal, () => void (paused = false));
  setHandler(cancelSignal, () => {
    cancelled = true;
    rounds.cancel();
  });

  let progress: JobProgress;
  try {
    progress = input.progress ?? (await begin(input.job));
  } catch (error) {
    await quick.failQueuedJob({ job: input.job, ...problemOf(error) });
    throw error;
  }
  const { prepared } = progress;
  const project = (state: JobState, problem: Problem | null = null) =>
    quick.projectJob(jobView({ ...progress, seq: ++progress.seq }, state, problem));

  if (!input.progress) await startRetention(input.job);

  try {
    await rounds.run(async () => {
      while (progress.round < prepared.spec.rounds && !stopped()) {
        if (paused) {
          await project('paused');
          await condition(() => !paused || stopped());
          continue;
        }
        await project('running');
        const result = await executeChild(trainingRound, {
          workflowId: roundWorkflowId(input.job, progress.round + 1),
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          args: [
            {
              prepared,
              round: progress.round + 1,
              base: progress.version,
              previousManifest: progress.archive.manifestHash,
            },
          ],
        });
        progress = { ...progress, ...result, round: progress.round + 1, transactions: progress.transactions };
        // A cancellation that came with the round's result would be forgotten by a new run.
        if (workflowInfo().continueAsNewSuggested && progress.round < prepared.spec.rounds && !stopped())
          await continueAsNew<typeof trainingJob>({ job: input.job, progress: { ...progress, paused } });
      }
    });
  } catch (error) {
    if (!isCancellation(error)) {
      await CancellationScope.nonCancellable(async () => {
        await chain(prepared.coordinator).finishJob({ job: input.job });
        await project('failed', problemOf(error));
      });
      throw error;
    }
    cancelled = true;
  }
  await CancellationScope.nonCancellable(async () => {
    const finished = await chain(prepared.coordinator).finishJob({ job: input.job });
    if (finished) progress.transactions.push(finished);
    await project(cancelled ? 'cancelled' : 'done');
  });
}

async function begin(job: JobInput['job']): Promise<JobProgress> {
  const prepared = await coordinator.prepareJob({ job });
  const transactions = await chain(prepared.coordinator).createJob({ prepared });
  const { base: version, accuracy, loss, archive, takenOver } = prepared;
  const start = takenOver ?? { round: 0, version, accuracy, loss, archive };
  return { seq: 0, prepared, ...start, transactions, paused: false };
}

/** It goes on when the job has ended, however it ended. */
async function startRetention(job: JobInput['job']): Promise<void> {
  try {
    await startChild(retention, {
      workflowId: retentionWorkflowId(job),
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [job],
    });
  } catch (error) {
    // Of an earlier run of this job.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

function jobView(progress: JobProgress, state: JobState, problem: Problem | null): JobView {
  const { prepared, seq, round, version, accuracy, loss, archive, transactions } = progress;
  return {
    seq,
    updatedAt: new Date().toISOString(),
    job: prepared.job,
    state,
    ...prepared.view,
    spec: prepared.spec,
    coordinator: prepared.coordinator,
    round,
    base: prepared.base,
    version,
    baseNumber: prepared.baseNumber,
    accuracy,
    loss,
    archive,
    transactions,
    settledEpoch: null,
    problem,
  };
}
