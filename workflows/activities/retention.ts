import type { Hex } from '#core/hex.js';
import { finalJobStates } from '#core/views.js';
import { presignedSeconds } from '#services/s3.js';
import type { Retention } from '../types.js';
import type { Dependencies } from './dependencies.js';

/** A job is looked at again after a quarter of the window, but not more often than this, nor more seldom than that. */
const shortestWaitSeconds = 5;
const longestWaitSeconds = 3_600;

/**
 * Deletes the updates of a job's rounds against which nothing can be brought any more, and of rounds that can no
 * longer close. All others stay, whatever happens: from them the coordinator answers questions, and auditors show
 * what was added wrong.
 */
export async function forgetUpdates(deps: Dependencies, job: Hex): Promise<Retention> {
  const [row, known, opened] = await Promise.all([
    deps.table.getJob(job),
    deps.chain.job(job),
    deps.chain.rounds(job),
  ]);
  // A chain that does not show the job now may show it, and its rounds, later.
  const standsStill = known?.phase === 'finished' || known?.phase === 'convicted';
  const closed = new Set(opened.flatMap(({ round, closing }) => (closing ? [round] : [])));
  let kept = 0;
  for (const round of await deps.updates.rounds(job)) {
    const isVoid = standsStill && (!closed.has(round) || round > (known?.latest ?? round));
    if (isVoid || (await deps.chain.isFinal(job, round))) await deps.updates.forget(job, round);
    else kept++;
  }
  const wait = Math.min(longestWaitSeconds, Math.max(shortestWaitSeconds, deps.windowSeconds / 4));
  if (!row || !finalJobStates.includes(row.state) || kept > 0) return { over: false, waitSeconds: wait };
  // A URL that was given out in the last round can be used for a while after the job's end.
  const left = presignedSeconds - (Date.now() - Date.parse(row.updatedAt)) / 1_000;
  return { over: left <= 0, waitSeconds: Math.max(shortestWaitSeconds, left) };
}
