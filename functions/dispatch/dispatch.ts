import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import type { Table } from '#services/table.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';
import { traced } from '#services/telemetry/traces.js';
import type { Logger } from '#services/log.js';
import { restSeconds, restUntil } from '../sweep/sweep.js';
import type { Temporal } from '../temporal.js';

/** Hands a queued job to Temporal, which keeps it from then on. Ringing twice is harmless. @throws UNAVAILABLE */
export async function dispatchJob(
  parts: {
    table: Pick<Table, 'getJob' | 'markRung'>;
    temporal: Pick<Temporal, 'startJob'>;
    telemetry: Telemetry;
    log: Logger;
  },
  job: JobId,
): Promise<void> {
  const { table, temporal, telemetry, log } = parts;
  const row = await table.getJob(job);
  if (!row)
    throw new RoundtableError('NOT_FOUND', `The queue names job ${job}, which the table does not have.`);
  if (row.state !== 'queued') return;
  await traced(telemetry.traces, { name: 'dispatch', of: { job } }, async () => {
    await temporal.startJob(job);
    await table.markRung(job, restUntil(Date.now(), restSeconds));
  });
  log.info({ job }, 'job dispatched');
}
