import { openQueue } from '#services/queue.js';
import { openTable } from '#services/table.js';
import { readEnvironment } from '../environment.js';
import { openLog } from '#services/log.js';
import { sweepQueued } from './sweep.js';

const environment = readEnvironment('TABLE_NAME', 'JOBS_QUEUE_URL');
const parts = {
  table: openTable({ table: environment.TABLE_NAME }),
  queue: openQueue({ url: environment.JOBS_QUEUE_URL }),
  log: openLog('sweep'),
};

/** Lambda on a schedule. */
export async function handler(): Promise<void> {
  await sweepQueued(parts);
}
