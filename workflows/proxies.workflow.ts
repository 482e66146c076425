import { proxyActivities, proxyLocalActivities, type ActivityOptions } from '@temporalio/workflow';
import { chainQueue, coordinatorQueue } from '#core/names.js';
import type { ChainActivities, CoordinatorActivities } from './types.js';

/** Retried until it can succeed; an error that cannot is thrown as non-retryable by the activity itself. */
const retry = { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5s' } as const;

const patient = {
  taskQueue: coordinatorQueue,
  startToCloseTimeout: '10m',
  scheduleToCloseTimeout: '1h',
  retry,
} satisfies ActivityOptions;

export const coordinator = proxyActivities<CoordinatorActivities>({ ...patient, heartbeatTimeout: '20s' });

/** Short reads and writes of the table: no round trip through the server. */
export const quick = proxyLocalActivities<
  Pick<
    CoordinatorActivities,
    'projectJob' | 'projectRound' | 'failQueuedJob' | 'selectRunners' | 'findPlaces'
  >
>({ startToCloseTimeout: '10s', scheduleToCloseTimeout: '1h', retry });

/** A transaction waits for cheaper gas, for its account's funds or for an endpoint as long as that takes. */
export const chain = (address: string) =>
  proxyActivities<ChainActivities>({
    ...patient,
    taskQueue: chainQueue(address),
    heartbeatTimeout: '20s',
    scheduleToCloseTimeout: '30d',
  });
