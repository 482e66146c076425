import {
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  isGrpcServiceError,
} from '@temporalio/client';
import { isRetryable, isRoundtableError, RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import {
  coordinatorQueue,
  jobWorkflowId,
  settlementWorkflowId,
  signalNames,
  workflowNames,
} from '#core/names.js';
import { connectionOptions, explainFailure, isDenial, type TemporalPlace } from '#services/temporal.js';

/**
 * The few things that functions ask of Temporal. Each can throw UNAVAILABLE or TEMPORAL_REFUSED, and repeating it is
 * harmless.
 */
export interface Temporal {
  /** Starts the job's workflow unless it runs or ran already. */
  startJob(job: JobId): Promise<void>;
  /** Starts the settlement of that epoch unless it is running. */
  startSettlement(payer: string, epoch: number): Promise<void>;
  /** Starts the job's workflow if dispatch has not yet. @throws CONFLICT when it has ended */
  signalJob(job: JobId, signal: keyof typeof signalNames): Promise<void>;
  close(): Promise<void>;
}

/** Connects at the first call and keeps the connection, also between invocations of a Lambda. */
export function openTemporal(readPlace: () => Promise<TemporalPlace>): Temporal {
  let connecting: Promise<Opened> | null = null;

  const connect = async (): Promise<Opened> => {
    const place = await readPlace().catch(unreadable);
    try {
      const connection = await Connection.connect({ ...connectionOptions(place), connectTimeout: '5s' });
      return { place, client: new Client({ connection, namespace: place.namespace }) };
    } catch (error) {
      throw await explainFailure(place, error);
    }
  };

  async function close(opened = connecting): Promise<void> {
    if (connecting === opened) connecting = null;
    await (await opened?.catch(() => null))?.client.connection.close();
  }

  async function call<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const used = (connecting ??= connect());
    let place: TemporalPlace | null = null;
    try {
      const opened = await used;
      place = opened.place;
      return await opened.client.withDeadline(Date.now() + callSeconds * 1_000, () => ask(opened.client));
    } catch (error) {
      if (place !== null && !isOutage(error)) throw error;
      // Whatever became of the connection, the next call begins with a new one, by the credentials of then.
      await close(used);
      throw place === null ? error : await explainFailure(place, error);
    }
  }

  return {
    async startJob(job) {
      try {
        await call(({ workflow }) =>
          workflow.start(workflowNames.trainingJob, {
            ...jobOptions(job),
            workflowIdConflictPolicy: 'USE_EXISTING',
          }),
        );
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },

    async startSettlement(payer, epoch) {
      await call(({ workflow }) =>
        workflow.start(workflowNames.settlement, {
          taskQueue: coordinatorQueue,
          workflowId: settlementWorkflowId(payer, epoch),
          // A settlement that failed, or found nothing to pay, may be started again under its number.
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          workflowIdConflictPolicy: 'USE_EXISTING',
          args: [{ payer, epoch }],
        }),
      );
    },

    async signalJob(job, signal) {
      try {
        await call(({ workflow }) =>
          workflow.signalWithStart(workflowNames.trainingJob, {
            ...jobOptions(job),
            signal: signalNames[signal],
            signalArgs: [],
          }),
        );
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError)
          throw new RoundtableError('CONFLICT', `Job ${job} has ended.`, { cause: error });
        throw error;
      }
    },

    close: () => close(),
  };
}

interface Opened {
  place: TemporalPlace;
  client: Client;
}

const jobOptions = (job: JobId) => ({
  taskQueue: coordinatorQueue,
  workflowId: jobWorkflowId(job),
  workflowIdReusePolicy: 'REJECT_DUPLICATE' as const,
  args: [{ job }],
});

/** A setting that is wrong is no fault of the message that met it: the message waits until somebody has mended it. */
function unreadable(cause: unknown): never {
  if (isRoundtableError(cause) && isRetryable(cause)) throw cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new RoundtableError('TEMPORAL_REFUSED', `The credentials for Temporal cannot be read: ${reason}`, {
    cause,
  });
}

/** A call that takes longer is given up; repeating it is harmless. */
const callSeconds = 8;

/** gRPC: CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE. */
const outageCodes = new Set([1, 4, 8, 10, 14]);

function isOutage(error: unknown): boolean {
  if (isDenial(error)) return true;
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (isGrpcServiceError(cause)) return outageCodes.has(cause.code);
  return error instanceof Error && /connect/i.test(error.message);
}
