import type { JobMessage } from '#core/messages.js';
import type { Queue } from '#services/queue.js';
import type { Table } from '#services/table.js';
import type { Logger } from '#services/log.js';

/** Seconds without any sign after which a queued job is rung for again. */
export const ringAfterSeconds = 5;
/** Jobs rung for in one sweep; the rest wait for the next. */
const most = 500;

/** Rings for jobs that stay queued: their message was lost, or nobody could act on it. @returns how many */
export async function sweepQueued(parts: {
  table: Pick<Table, 'listWaiting' | 'markRung'>;
  queue: Queue;
  log: Logger;
}): Promise<number> {
  const { table, queue, log } = parts;
  const now = Date.now();
  const before = new Date(now - ringAfterSeconds * 1_000).toISOString();
  const jobs = await table.listWaiting('dispatch', before, most);
  for (const { job, createdAt } of jobs) {
    await queue.send({ type: 'job', job } satisfies JobMessage);
    await table.markRung(job, new Date(now).toISOString());
    log.warn({ job, createdAt }, 'job was still queued; rang again');
  }
  return jobs.length;
}
