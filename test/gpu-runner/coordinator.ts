import { randomUUID } from 'node:crypto';
import { Connection, isGrpcServiceError, type WorkflowService } from '@temporalio/client';
import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import type { TrainTask } from '#core/messages.js';
import { revealActivityId, runnerQueue, trainActivityId } from '#core/names.js';

const { CommandType, EventType } = proto.temporal.api.enums.v1;
type Event = temporal.api.history.v1.IHistoryEvent;
type Command = temporal.api.command.v1.ICommand;

const namespace = 'default';
const identity = 'test';
/** gRPC's status code. */
const UNAVAILABLE = 14;

/** How a task ended, as a workflow sees it. */
export type Outcome =
  | { kind: 'answered'; answer: unknown; attempt: number }
  | { kind: 'failed'; type: string; message: string; retryState: number }
  | { kind: 'canceled' }
  | { kind: 'timedOut' };

export interface AskedTask {
  outcome: Promise<Outcome>;
  /** TRY_CANCEL, as a round does it for a late runner. */
  cancel(): Promise<void>;
  /** Ends the workflow under the runner's feet. */
  terminate(): Promise<void>;
  /** Progress that came with the last heartbeat, and the attempt that is running. */
  pending(): Promise<{ attempt: number; progress: unknown } | null>;
}

/**
 * Gives a runner one task, as a workflow of one activity. The workflow's decisions are made here by hand over
 * Temporal's own interface, so that a test needs neither a bundle nor a sandbox.
 */
export async function ask(
  address: string,
  task: Pick<TrainTask, 'runner'>,
  options: {
    /** As the coordinator's worker has it. */
    codec: PayloadCodec;
    heartbeatSeconds?: number;
    attempts?: number;
    startSeconds?: number;
    /** Which half of a round it is; train unless told. */
    activity?: 'train' | 'reveal';
  },
): Promise<AskedTask> {
  const connection = await Connection.connect({ address });
  const service: WorkflowService = connection.workflowService;
  const workflowId = randomUUID();
  const taskQueue = { name: `test-${workflowId}` };
  const execution = { workflowId };
  const activity = options.activity ?? 'train';
  const activityId = { train: trainActivityId, reveal: revealActivityId }[activity](task.runner);
  const context = { type: 'activity', namespace, workflowId, activityId, isLocal: false } as const;
  const read: Reader = async (payload) => {
    const [opened] = payload ? await options.codec.decode([payload as Payload], context) : [];
    return opened ? defaultPayloadConverter.fromPayload(opened) : null;
  };
  const input = await options.codec.encode([defaultPayloadConverter.toPayload(task)], context);
  await service.startWorkflowExecution({
    namespace,
    identity,
    workflowId,
    requestId: randomUUID(),
    workflowType: { name: 'oneTask' },
    taskQueue,
  });

  const schedule: Command = {
    commandType: CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
    scheduleActivityTaskCommandAttributes: {
      activityId,
      activityType: { name: activity },
      taskQueue: { name: runnerQueue(task.runner) },
      input: { payloads: input },
      startToCloseTimeout: { seconds: (options.startSeconds ?? 60) as never },
      scheduleToCloseTimeout: { seconds: 90 as never },
      heartbeatTimeout: { seconds: (options.heartbeatSeconds ?? 2) as never },
      retryPolicy: {
        initialInterval: { nanos: 200_000_000 },
        backoffCoefficient: 1,
        maximumAttempts: options.attempts ?? 10,
      },
    },
  };
  const terminated = new AbortController();
  let cancelling = false;
  const { promise: outcome, resolve: settle } = deferred<Outcome>();

  /** One workflow task; true when it was the last. */
  const decide = async (): Promise<boolean> => {
    const polled = await service.pollWorkflowTaskQueue({ namespace, identity, taskQueue });
    if (!polled.taskToken || polled.taskToken.length === 0) return false;
    const events = polled.history?.events ?? [];
    const has = (type: temporal.api.enums.v1.EventType) => events.find(({ eventType }) => eventType === type);
    const scheduled = has(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
    const requested = has(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED);
    const ends = await Promise.all(events.map((event) => outcomeOf(event, read)));
    const end = ends.find((found) => found !== null);
    const commands: Command[] = [];
    if (end)
      commands.push({
        commandType: CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        completeWorkflowExecutionCommandAttributes: {},
      });
    else if (!scheduled) commands.push(schedule);
    else if (cancelling && !requested)
      commands.push({
        commandType: CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
        requestCancelActivityTaskCommandAttributes: { scheduledEventId: scheduled.eventId ?? null },
      });
    await service.respondWorkflowTaskCompleted({
      namespace,
      identity,
      taskToken: polled.taskToken,
      commands,
    });
    if (end) settle(end);
    return end !== undefined;
  };
  const poll = () => connection.withDeadline(Date.now() + 60_000, decide);
  const deciding = (async () => {
    for (let last = false; !last && !terminated.signal.aborted;) {
      try {
        last = await connection.withAbortSignal(terminated.signal, poll);
      } catch (error) {
        if (terminated.signal.aborted) break;
        // The server may be away for a while in a test; every other failure is one of the test itself.
        if (!(isGrpcServiceError(error) && error.code === UNAVAILABLE)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await connection.close();
  })();
  deciding.catch(() => undefined);

  return {
    outcome: Promise.race([outcome, deciding.then(() => outcome)]),
    cancel: async () => {
      cancelling = true;
      await service.signalWorkflowExecution({
        namespace,
        identity,
        workflowExecution: execution,
        signalName: 'cancel',
        requestId: randomUUID(),
      });
    },
    terminate: async () => {
      await service.terminateWorkflowExecution({ namespace, identity, workflowExecution: execution });
      terminated.abort();
      await deciding;
    },
    pending: async () => {
      const { pendingActivities } = await service.describeWorkflowExecution({ namespace, execution });
      const [activity] = pendingActivities ?? [];
      if (!activity) return null;
      const [details] = activity.heartbeatDetails?.payloads ?? [];
      return {
        attempt: activity.attempt ?? 0,
        progress: await read(details),
      };
    },
  };
}

/** Promise.withResolvers, which Node 20 does not have. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  const resolvers: ((value: T) => void)[] = [];
  const promise = new Promise<T>((resolve) => resolvers.push(resolve));
  return { promise, resolve: (value) => resolvers.forEach((resolve) => resolve(value)) };
}

type Reader = (payload: temporal.api.common.v1.IPayload | undefined) => Promise<unknown>;

async function outcomeOf(event: Event, read: Reader): Promise<Outcome | null> {
  const { activityTaskCompletedEventAttributes: completed, activityTaskFailedEventAttributes: failed } =
    event;
  if (completed) return { kind: 'answered', answer: await read(completed.result?.payloads?.[0]), attempt: 0 };
  if (failed) {
    const info = failed.failure?.applicationFailureInfo;
    const said = Object(await read(info?.details?.payloads?.[0])) as { message?: string };
    return {
      kind: 'failed',
      type: info?.type ?? '',
      message: said.message ?? failed.failure?.message ?? '',
      retryState: failed.retryState ?? 0,
    };
  }
  if (event.activityTaskCanceledEventAttributes) return { kind: 'canceled' };
  if (event.activityTaskTimedOutEventAttributes) return { kind: 'timedOut' };
  return null;
}
