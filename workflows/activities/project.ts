import { jobView, roundView, type JobView, type RoundView } from '#core/views.js';
import type { Hex } from '#core/hex.js';
import { finalJobStates } from '#core/views.js';
import type { Dependencies } from './dependencies.js';

/** Projections for those who look: the table drops what is older than what it has. */
export async function projectJob(deps: Dependencies, view: JobView): Promise<void> {
  await deps.table.projectJob(jobView.parse(view));
}

export async function projectRound(deps: Dependencies, view: RoundView): Promise<void> {
  await deps.table.projectRound(roundView.parse(view));
}

/** A job that could not begin: nothing of it is on chain, only its row says why. */
export async function failQueuedJob(
  deps: Dependencies,
  { job, code, message }: { job: Hex; code: string; message: string },
): Promise<void> {
  const row = await deps.table.getJob(job);
  if (!row || finalJobStates.includes(row.state)) return;
  const seq = row.seq + 1;
  const updatedAt = new Date().toISOString();
  await deps.table.projectJob({ ...row, seq, updatedAt, state: 'failed', problem: { code, message } });
}
