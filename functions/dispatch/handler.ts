import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { jobMessage } from '#core/messages.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { openTable } from '#services/table.js';
import { openFunctionTelemetry } from '#services/telemetry/telemetry.js';
import { temporalPlace } from '#services/temporal.js';
import { handleBatch } from '../batch.js';
import { readEnvironment } from '../environment.js';
import { openLog } from '#services/log.js';
import { openTemporal } from '../temporal.js';
import { dispatchJob } from './dispatch.js';

const environment = readEnvironment(
  'TABLE_NAME',
  'JOBS_QUEUE_URL',
  'JOBS_DEAD_URL',
  'TEMPORAL_ADDRESS',
  'TEMPORAL_NAMESPACE',
  'TEMPORAL_CREDENTIALS_SECRET',
);
const log = openLog('dispatch');
const parts = {
  name: 'dispatch',
  telemetry: openFunctionTelemetry('dispatch', log),
  table: openTable({ table: environment.TABLE_NAME }),
  temporal: openTemporal(temporalPlace(environment)),
  dead: openDeadLetters({ queue: environment.JOBS_QUEUE_URL, dead: environment.JOBS_DEAD_URL }),
  log,
};

/** Lambda on the queue of jobs. */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> =>
  handleBatch(event, jobMessage, ({ job }) => dispatchJob(parts, job), parts);
