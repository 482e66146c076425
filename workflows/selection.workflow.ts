import { ApplicationFailure, sleep } from '@temporalio/workflow';
import { quick } from './proxies.workflow.js';
import type { RoundInput, Selection } from './types.js';

/** Waits, at most until the job's deadline, until enough runners are there to reach the quorum. */
export async function awaitSelection(input: RoundInput): Promise<Selection> {
  const { deadlineSeconds } = input.prepared.spec.participants;
  const until = Date.now() + deadlineSeconds * 1000;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5_000)) {
    const selection = await quick.selectRunners(input);
    if (selection.ready) return selection;
    if (Date.now() + pause > until) {
      const absent = selection.missing.map(({ runner, reason }) => `${runner}: ${reason}`).join('; ');
      throw ApplicationFailure.nonRetryable(
        `Round ${input.round} needs ${selection.quorum} runners that serve "${input.prepared.spec.data.contract}", ` +
          `and ${selection.opening.selection.length} were there within ${deadlineSeconds} s. ` +
          `Missing: ${absent || 'none is enrolled'}. Start runners, or submit the job with a smaller quorum.`,
        'NO_RUNNERS',
      );
    }
    await sleep(pause);
  }
}
