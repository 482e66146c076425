import { ApplicationFailure, CancellationScope } from '@temporalio/workflow';
import { coordinator } from './proxies.workflow.js';
import type { CloseInput, PlacedAttestation } from './types.js';

/** One activity waits at most so long, well within its own time. */
const LONGEST_WAIT_SECONDS = 240;

/**
 * Shows drawn members with what the round is to be closed, and waits until as many have signed as the contract demands, at
 * most for the job's deadline once more. Without them no round of the job closes.
 */
export async function attestClosing(input: CloseInput): Promise<PlacedAttestation[]> {
  const { job, spec } = input.prepared;
  const until = Date.now() + spec.participants.deadlineSeconds * 1000;
  await coordinator.proposeClosing(input);
  try {
    for (;;) {
      const left = Math.max(0, until - Date.now()) / 1000;
      const seconds = Math.min(LONGEST_WAIT_SECONDS, left);
      const { needed, given, silent } = await coordinator.awaitAttestations({ ...input, seconds });
      if (given.length >= needed) return given;
      if (Date.now() >= until)
        throw ApplicationFailure.nonRetryable(
          `Round ${input.round} of job ${job} has the signatures of ${given.length} of the ${needed} attesters that it needs to close, after ${spec.participants.deadlineSeconds} s. ` +
            `Nothing came from ${silent.join(', ')}. Their members must run \`roundtable watch\`, and be among the job's auditors.`,
          'ATTESTERS_MISSING',
        );
    }
  } finally {
    await CancellationScope.nonCancellable(() => coordinator.withdrawProposal({ job, round: input.round }));
  }
}
