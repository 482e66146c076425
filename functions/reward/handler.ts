import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { creditMessage } from '#core/messages.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { openTable } from '#services/table.js';
import { openFunctionTelemetry } from '#services/telemetry/telemetry.js';
import { traced } from '#services/telemetry/traces.js';
import { handleBatch } from '../batch.js';
import { readEnvironment } from '../environment.js';
import { openLog } from '#services/log.js';

const environment = readEnvironment('TABLE_NAME', 'CREDITS_QUEUE_URL', 'CREDITS_DEAD_URL');
const table = openTable({ table: environment.TABLE_NAME });
const dead = openDeadLetters({
  queue: environment.CREDITS_QUEUE_URL,
  dead: environment.CREDITS_DEAD_URL,
});
const log = openLog('reward');
const telemetry = openFunctionTelemetry('reward', log);

/** Lambda on the queue of credits: each share of each round once, however often it is delivered. */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> =>
  handleBatch(
    event,
    creditMessage,
    async (message) => {
      const { job, round, runner } = message;
      const outcome = await traced(
        telemetry.traces,
        { name: 'credit', of: { job, round }, attributes: { runner } },
        () => table.credit(message),
        (outcome) => ({ outcome }),
      );
      log.info({ job, round, runner, outcome }, 'share credited');
    },
    { name: 'reward', dead, telemetry, log },
  );
