import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import type { Table } from '#services/table.js';
import type { Logger } from '../log.js';
import type { Temporal } from '../temporal.js';

/** Hands a queued job to Temporal, which keeps it from then on. Ringing twice is harmless. @throws UNAVAILABLE */
export async function dispatchJob(
  parts: { table: Pick<Table, 'getJob' | 'markRung'>; temporal: Pick<Temporal, 'startJob'>; log: Logger },
  job: JobId,
): Promise<void> {
  const { table, temporal, log } = parts;
  const row = await table.getJob(job);
  if (!row)
    throw new RoundtableError('NOT_FOUND', `The queue names job ${job}, which the table does not have.`);
  if (row.state !== 'queued') return;
  await temporal.startJob(job);
  await table.markRung(job, new Date().toISOString());
  log.info({ job }, 'job dispatched');
}
