import { isRoundtableError } from '#core/errors.js';
import { finalJobStates, type JobView, type RoundView, type RunnerView } from '#core/views.js';
import type { Api } from '../api.js';
import type { Emit } from './events.js';
import { roundEnded } from './state.js';

const pollMilliseconds = 150;
/** An API that is being restarted is not an error; one that stays away is. */
const patienceMilliseconds = 60_000;

/**
 * Follows a job through the API until it ends, emitting what changed, and returns its last row.
 * @param signal aborts the following (never the job); the promise then rejects with its reason
 * @throws NOT_FOUND for an unknown job, UNAVAILABLE when the API stays away for a minute
 */
export async function followJob(api: Api, job: string, emit: Emit, signal?: AbortSignal): Promise<JobView> {
  const seen = new Map<string, string>();
  let lastAnswer = Date.now();
  for (;;) {
    signal?.throwIfAborted();
    try {
      const [view, rounds, runners] = await Promise.all([api.job(job), api.rounds(job), api.runners()]);
      lastAnswer = Date.now();
      emitChanges(view, rounds, runners, seen, emit);
      if (finalJobStates.includes(view.state)) {
        emit({ type: 'job-finished', job: view });
        return view;
      }
    } catch (error) {
      const gone = isRoundtableError(error, 'UNAVAILABLE') && Date.now() - lastAnswer < patienceMilliseconds;
      if (!gone) throw error;
    }
    await pause(pollMilliseconds, signal);
  }
}

function emitChanges(
  job: JobView,
  rounds: readonly RoundView[],
  runners: readonly RunnerView[],
  seen: Map<string, string>,
  emit: Emit,
): void {
  if (changed(seen, 'job', `${job.seq}/${job.state}`)) emit({ type: 'job', job });
  for (const round of [...rounds].sort((a, b) => a.round - b.round)) {
    const progress = roundEnded(round)
      ? ''
      : JSON.stringify(runners.map(({ name, progress }) => [name, progress]));
    if (changed(seen, `round/${round.round}`, `${round.seq}/${round.phase}/${progress}`))
      emit({ type: 'round', job, round, runners });
  }
}

function changed(seen: Map<string, string>, key: string, value: string): boolean {
  if (seen.get(key) === value) return false;
  seen.set(key, value);
  return true;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}
