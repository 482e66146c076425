import { setTimeout as delay } from 'node:timers/promises';
import { CancelledFailure, Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { isRoundtableError } from '#core/errors.js';
import type { ErrorCode } from '#core/errorCodes.js';
import { runnerQueue } from '#core/names.js';
import type { TrainAnswer } from '#core/messages.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';

const HEARTBEAT_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;

/** Errors that may be gone at the next attempt. All others would come back, so the coordinator need not wait. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'DISK_FULL',
  'ARTIFACT_CORRUPT',
  'TRAINING_CHILD_DIED',
  'TOO_OLD',
]);

/** What a task runs under: its end, and what the coordinator sees of it in the meantime. */
export type TaskHandler = (task: unknown, signal: AbortSignal) => Promise<TrainAnswer>;

/**
 * Polls the runner's own task queue, one task at a time, until the signal. A Temporal server that is away,
 * however long, is found again.
 */
export async function pollTasks(
  options: {
    temporal: string;
    namespace: string;
    runner: string;
    train: TaskHandler;
    progress(): unknown;
    log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  const { log } = options;
  let complaint: string | null = null;
  let failures = 0;
  while (!signal.aborted) {
    try {
      await workUntilFailure(options, signal, () => {
        log.info({ queue: runnerQueue(options.runner) }, 'waiting for tasks');
        complaint = null;
        failures = 0;
      });
    } catch (error) {
      const message = messageOf(error);
      if (message !== complaint) log.warn({}, `cannot take tasks: ${message}`);
      complaint = message;
      failures++;
    }
    if (!signal.aborted)
      await delay(Math.min(LONGEST_PAUSE_MS, 125 * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(
        () => undefined,
      );
  }
}

async function workUntilFailure(
  { temporal, namespace, runner, train, progress, log }: Parameters<typeof pollTasks>[0],
  signal: AbortSignal,
  onReady: () => void,
): Promise<void> {
  const connection = await NativeConnection.connect({ address: temporal });
  try {
    const worker = await Worker.create({
      connection,
      namespace,
      identity: `runner/${runner}`,
      taskQueue: runnerQueue(runner),
      activities: {
        train: (task: unknown) =>
          activity(() => train(task, Context.current().cancellationSignal), progress, log),
      },
      maxConcurrentActivityTaskExecutions: 1,
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
      // A late runner learns from its heartbeats that its round is over; the default would tell it after a minute.
      maxHeartbeatThrottleInterval: HEARTBEAT_MS,
      defaultHeartbeatThrottleInterval: HEARTBEAT_MS,
      shutdownGraceTime: 0,
      shutdownForceTime: 900,
    });
    const stop = (): void => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    signal.addEventListener('abort', stop);
    try {
      const running = worker.run();
      onReady();
      if (signal.aborted) stop();
      await running;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  } finally {
    await connection.close();
  }
}

/** Heartbeats come from a timer: training runs in a process of its own, so this one is always free to send them. */
async function activity(
  work: () => Promise<TrainAnswer>,
  progress: () => unknown,
  log: Log,
): Promise<TrainAnswer> {
  const context = Context.current();
  context.heartbeat(progress());
  const timer = setInterval(() => context.heartbeat(progress()), HEARTBEAT_MS);
  try {
    return await work();
  } catch (error) {
    const failure = failureOf(error, context);
    if (failure instanceof ApplicationFailure)
      log.warn({ code: failure.type, again: !failure.nonRetryable }, `the task failed: ${failure.message}`);
    throw failure;
  } finally {
    clearInterval(timer);
  }
}

function failureOf(error: unknown, context: Context): Error {
  if (context.cancellationSignal.aborted) {
    // The coordinator did not ask for this end: another attempt may find the runner up again.
    if (context.cancellationDetails?.workerShutdown)
      return ApplicationFailure.retryable('The runner was stopped.', 'RUNNER_STOPPED');
    return new CancelledFailure('The round went on without this runner.');
  }
  const message = messageOf(error);
  if (!isRoundtableError(error)) return ApplicationFailure.retryable(message, 'INTERNAL');
  const nonRetryable = !PASSING.has(error.code);
  return ApplicationFailure.create({ message, type: error.code, nonRetryable, details: [error.details] });
}
