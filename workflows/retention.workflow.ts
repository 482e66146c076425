import { continueAsNew, sleep, workflowInfo } from '@temporalio/workflow';
import { coordinator } from './proxies.workflow.js';

/** Deletes a job's updates, round by round, as their dispute windows pass. It outlives the job by the last window. */
export async function retention(job: `0x${string}`): Promise<void> {
  for (;;) {
    const { over, waitSeconds } = await coordinator.forgetUpdates({ job });
    if (over) return;
    await sleep(waitSeconds * 1_000);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof retention>(job);
  }
}
