import type { JobMessage } from '#core/messages.js';
import type { Queue } from '#services/queue.js';
import type { Table } from '#services/table.js';
import type { Logger } from '#services/log.js';

/** Seconds without any sign after which a queued job is rung for again. */
const ringAfterSeconds = 5;
/**
 * A job that was handed to Temporal is let be for so long: Temporal keeps it, unless it has lost what it kept. It is
 * the longest that any queued job is let be.
 */
export const restSeconds = 600;
/** Jobs rung for in one sweep; the rest wait for the next. */
const most = 500;

/**
 * Rings for jobs that stay queued: their message was lost, or nobody could act on it. Whoever has waited long is let
 * be for as long again: bells for a queue that is merely long would make it longer. @returns how many
 */
export async function sweepQueued(parts: {
  table: Pick<Table, 'listWaiting' | 'markRung'>;
  queue: Queue;
  log: Logger;
}): Promise<number> {
  const { table, queue, log } = parts;
  const now = Date.now();
  const jobs = await table.listWaiting('dispatch', timeOf(now - ringAfterSeconds * 1_000), most);
  await queue.sendAll(jobs.map(({ job }) => ({ type: 'job', job }) satisfies JobMessage));
  await Promise.all(
    jobs.map(async ({ job, createdAt }) => {
      const waited = (now - Date.parse(createdAt)) / 1_000;
      await table.markRung(job, restUntil(now, waited));
      log.warn({ job, createdAt }, 'job was still queued; rang again');
    }),
  );
  return jobs.length;
}

/** What `markRung` is told for a job that is not to be rung for before so many seconds after `now` (milliseconds). */
export function restUntil(now: number, seconds: number): string {
  const bounded = Math.min(Math.max(seconds, ringAfterSeconds), restSeconds);
  return timeOf(now + (bounded - ringAfterSeconds) * 1_000);
}

const timeOf = (milliseconds: number) => new Date(milliseconds).toISOString();
