import { chain, coordinator } from './proxies.workflow.js';
import type { AnswerInput } from './types.js';

/** Answers one question on chain. Its id is the question's and the asking transaction's: one for each time it is asked. */
export async function answering(input: AnswerInput): Promise<void> {
  const call = await coordinator.findAnswer(input);
  if (call) await chain(input.coordinator).sendAnswer({ ...input, call });
}
