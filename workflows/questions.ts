import { setTimeout as pause } from 'node:timers/promises';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import type { Logger } from '#services/log.js';
import { readMoment } from '#audit/disputable.js';
import { epochQuestions } from '#audit/epochQuestions.js';
import { openQuestions } from '#audit/questions.js';
import type { Hex } from '#core/hex.js';
import { answerWorkflowId, coordinatorQueue, workflowNames } from '#core/names.js';
import type { Chain } from '#services/chain.js';
import type { AnswerInput } from './types.js';

interface Listening {
  chain: Chain;
  coordinator: Hex;
  client: Client;
  log: Logger;
}

/**
 * Looks on chain for questions about this stack's jobs and epochs, and has each answered by a workflow of its own. Nothing is
 * remembered: what waits for an answer stands on chain, and starting a workflow twice is harmless.
 * @param signal ends it
 */
export async function listenForQuestions(parts: Listening, signal: AbortSignal): Promise<void> {
  const { chain, log } = parts;
  let from = 0;
  for (let waitMs = 1_000; !signal.aborted;) {
    try {
      const moment = await readMoment(chain, from);
      // An answer takes some transactions' time; the smallest window there is takes this often.
      waitMs = 1_000 * Math.min(60, Math.max(1, moment.window / 20));
      await startAnswers(parts, from);
      // Whoever asked before this can be answered no more.
      from = moment.from;
    } catch (error) {
      log.warn({ err: error }, 'questions on chain could not be looked for');
    }
    await pause(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Begins with all that was ever asked, since it may have been asked while nobody was there to answer. */
async function startAnswers({ chain, coordinator, client, log }: Listening, from: number): Promise<void> {
  for (const question of await questionsFor(chain, coordinator, from)) {
    try {
      await client.workflow.start(workflowNames.answering, {
        taskQueue: coordinatorQueue,
        workflowId: answerWorkflowId(question.id, question.asked.transaction),
        // An answer that failed may be tried again while it is due.
        workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
        workflowIdConflictPolicy: 'USE_EXISTING',
        args: [{ coordinator, question } satisfies AnswerInput],
      });
      log.info({ question: question.id, until: question.until }, 'a question on chain is answered');
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}

async function questionsFor(
  chain: Chain,
  coordinator: Hex,
  from: number,
): Promise<AnswerInput['question'][]> {
  const found: AnswerInput['question'][] = [];
  for (const question of await openQuestions(chain, from))
    if ((await chain.escrow(question.round.job)).coordinator === coordinator) found.push(question);
  for (const question of await epochQuestions(chain, { payer: coordinator, from }))
    if (question.challenger !== null) found.push(question);
  return found;
}
