import { handle } from 'hono/aws-lambda';
import { openQueue } from '#services/queue.js';
import { openTable } from '#services/table.js';
import { readEnvironment } from '../environment.js';
import { openLimits } from '../limits.js';
import { openLog } from '#services/log.js';
import { openFunctionTelemetry } from '#services/telemetry/telemetry.js';
import { flushing } from '#services/telemetry/traces.js';
import { webhookApp } from './app.js';

const environment = readEnvironment('TABLE_NAME', 'JOBS_QUEUE_URL', 'COORDINATOR_ADDRESS', 'API_LIMITS');
const log = openLog('webhook');
const telemetry = openFunctionTelemetry('webhook', log);
const table = openTable({ table: environment.TABLE_NAME });

/** Lambda behind API Gateway (payload format 2.0). */
export const handler = flushing(
  telemetry.traces,
  handle(
    webhookApp({
      table,
      limits: openLimits(table, environment.API_LIMITS),
      queue: openQueue({ url: environment.JOBS_QUEUE_URL }),
      coordinator: environment.COORDINATOR_ADDRESS,
      telemetry,
      log,
    }),
  ),
);
