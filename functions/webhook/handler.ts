import { handle } from 'hono/aws-lambda';
import { openQueue } from '#services/queue.js';
import { openTable } from '#services/table.js';
import { readEnvironment } from '../environment.js';
import { openLimits } from '../limits.js';
import { openLog } from '../log.js';
import { webhookApp } from './app.js';

const environment = readEnvironment('TABLE_NAME', 'JOBS_QUEUE_URL', 'COORDINATOR_ADDRESS', 'API_LIMITS');
const table = openTable({ table: environment.TABLE_NAME });

/** Lambda behind API Gateway (payload format 2.0). */
export const handler = handle(
  webhookApp({
    table,
    limits: openLimits(table, environment.API_LIMITS),
    queue: openQueue({ url: environment.JOBS_QUEUE_URL }),
    coordinator: environment.COORDINATOR_ADDRESS,
    log: openLog('webhook'),
  }),
);
