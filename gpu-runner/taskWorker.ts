import { setTimeout as delay } from 'node:timers/promises';
import { CancelledFailure, Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { isRoundtableError } from '#core/errors.js';
import type { ErrorCode } from '#core/errorCodes.js';
import { fromHex, type RunnerId } from '#core/hex.js';
import type { RunnerFailure, TrainAnswer } from '#core/messages.js';
import { runnerQueue } from '#core/names.js';
import { gatekeeperHost } from '#services/certificate.js';
import { runnerCodec } from '#services/runnerPayloads.js';
import type { Door } from './enrolment.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';

const HEARTBEAT_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;

/** Errors that may be gone at the next attempt. All others would come back, so the coordinator need not wait. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'CHAIN_UNREACHABLE',
  'CHAIN_DISAGREES',
  'DISK_FULL',
  'ARTIFACT_CORRUPT',
  'TRAINING_CHILD_DIED',
  'TOO_OLD',
]);

/** What a task runs under: its end, and what the coordinator sees of it in the meantime. */
export type TaskHandler = (task: unknown, signal: AbortSignal) => Promise<TrainAnswer>;

interface Options {
  /** The newest way into the stack. */
  door(): Promise<Door>;
  runner: RunnerId;
  train: TaskHandler;
  /** The second half of rounds whose runners seal first. */
  reveal: TaskHandler;
  progress(): unknown;
  log: Log;
}

/**
 * Polls the runner's own task queue through the stack's gatekeeper, one task at a time, until the signal. A
 * gatekeeper that is away, however long, is found again.
 */
export async function pollTasks(options: Options, signal: AbortSignal): Promise<void> {
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

async function workUntilFailure(options: Options, signal: AbortSignal, onReady: () => void): Promise<void> {
  const { runner, progress, log } = options;
  const door = await untilAborted(options.door(), signal);
  if (!door) return;
  const connection = await connect(door);
  const codec = runnerCodec(runner, door.sealingKey, fromHex(door.coordinatorSealingKey, 32));
  const doing = (handler: TaskHandler) => (task: unknown) =>
    activity(() => handler(task, Context.current().cancellationSignal), progress, log);
  let worker: Worker;
  try {
    worker = await Worker.create({
      connection,
      namespace: door.namespace,
      identity: `runner/${runner}`,
      taskQueue: runnerQueue(runner),
      dataConverter: { payloadCodecs: [codec] },
      activities: { train: doing(options.train), reveal: doing(options.reveal) },
      maxConcurrentActivityTaskExecutions: 1,
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
      // A late runner learns from its heartbeats that its round is over; the default would tell it after a minute.
      maxHeartbeatThrottleInterval: HEARTBEAT_MS,
      defaultHeartbeatThrottleInterval: HEARTBEAT_MS,
      shutdownGraceTime: 0,
      shutdownForceTime: 900,
    });
  } catch (error) {
    await connection.close();
    throw error;
  }
  const ended = new AbortController();
  const stop = (): void => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const over = AbortSignal.any([signal, ended.signal]);
  signal.addEventListener('abort', stop);
  const following = followDoor(options, door, worker, stop, over);
  try {
    const running = worker.run();
    onReady();
    if (signal.aborted) stop();
    await running;
  } finally {
    signal.removeEventListener('abort', stop);
    ended.abort();
    await (await following).close();
  }
}

/**
 * Goes over to each new certificate while the worker goes on: task tokens belong to the runner, not to a connection,
 * so a running task is reported and answered through the new one.
 * @returns the last connection
 */
async function followDoor(
  { door: nextDoor, log }: Options,
  first: Door,
  worker: Worker,
  stop: () => void,
  over: AbortSignal,
): Promise<NativeConnection> {
  let connection = worker.connection as NativeConnection;
  let door = first;
  for (let failures = 0; ;) {
    await untilAborted(once(door.replaced), over);
    if (over.aborted) return connection;
    try {
      const next = await nextDoor();
      if (next.namespace !== first.namespace || next.coordinatorSealingKey !== first.coordinatorSealingKey) {
        stop();
        return connection;
      }
      const before = connection;
      connection = await connect(next);
      worker.connection = connection;
      door = next;
      failures = 0;
      log.info({}, 'goes on with a new certificate');
      await before.close();
    } catch (error) {
      // The old certificate is good for hours yet.
      if (failures++ === 0) log.warn({}, `cannot connect with a new certificate: ${messageOf(error)}`);
      await delay(LONGEST_PAUSE_MS, undefined, { signal: over }).catch(() => undefined);
    }
  }
}

async function connect(door: Door): Promise<NativeConnection> {
  const connection = await NativeConnection.connect({
    address: door.address,
    tls: {
      serverNameOverride: gatekeeperHost,
      serverRootCACertificate: Buffer.from(door.authorities),
      clientCertPair: { crt: Buffer.from(door.certificate), key: Buffer.from(door.privateKey) },
    },
  });
  // A worker runs activities in a context of its connection's own, for calls that they make through it; ours make none. From
  // then on every promise of the process would carry one more, and with some hundred runners nothing else would be done.
  connection.withAbortSignal = (_signal, work) => work();
  return connection;
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Null when the signal came first. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const waiting = new AbortController();
  const aborted = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', () => resolve(null), { signal: waiting.signal });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    waiting.abort();
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
      log.warn({ code: failure.type, again: !failure.nonRetryable }, `the task failed: ${messageOf(error)}`);
    throw failure;
  } finally {
    clearInterval(timer);
  }
}

function failureOf(error: unknown, context: Context): Error {
  if (context.cancellationSignal.aborted) {
    // The coordinator did not ask for this end: another attempt may find the runner up again.
    if (context.cancellationDetails?.workerShutdown)
      return sealedFailure('The runner was stopped.', 'RUNNER_STOPPED', false);
    return new CancelledFailure('The round went on without this runner.');
  }
  const message = messageOf(error);
  if (!isRoundtableError(error)) return sealedFailure(message, 'INTERNAL', false);
  return sealedFailure(message, error.code, !PASSING.has(error.code));
}

/** Temporal keeps a failure's message as it is, so what was wrong goes into the details, which are encrypted. */
function sealedFailure(message: string, type: string, nonRetryable: boolean): ApplicationFailure {
  const details: [RunnerFailure] = [{ message }];
  const failure = ApplicationFailure.create({ message: 'The runner failed.', type, nonRetryable, details });
  failure.stack = '';
  return failure;
}
