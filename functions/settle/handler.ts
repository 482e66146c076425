import { openTable } from '#services/table.js';
import { temporalPlace } from '#services/temporal.js';
import { readEnvironment } from '../environment.js';
import { openLog } from '#services/log.js';
import { openTemporal } from '../temporal.js';
import { startSettlement } from './settle.js';

const environment = readEnvironment(
  'TABLE_NAME',
  'TEMPORAL_ADDRESS',
  'TEMPORAL_NAMESPACE',
  'TEMPORAL_CREDENTIALS_SECRET',
  'COORDINATOR_ADDRESS',
);
const parts = {
  table: openTable({ table: environment.TABLE_NAME }),
  temporal: openTemporal(temporalPlace(environment)),
  log: openLog('settle'),
};

/** Lambda on a schedule. It only starts the workflow: money is the settlement's business. */
export async function handler(): Promise<void> {
  await startSettlement(parts, environment.COORDINATOR_ADDRESS);
}
