import { describe, expect, test } from '@jest/globals';
import type { RoundQuestion } from '#audit/questions.js';
import { answerWorkflowId, coordinatorQueue } from '#core/names.js';
import { coordinatorAddress, fakeSpec, fakeStack, hash, runnerAddress } from './fakes.js';
import { temporal } from './running.js';

describe('a question on chain', () => {
  const question: RoundQuestion = {
    id: hash('a'),
    subject: hash('b'),
    round: { job: hash('c'), round: 1, closing: hash('d') },
    challenger: runnerAddress(1),
    until: 0,
    asked: { transaction: hash('e'), block: 1 },
    answer: null,
    answered: false,
  };
  const ask = (transaction: string) =>
    temporal().client.workflow.execute('answering', {
      workflowId: answerWorkflowId(question.id, transaction),
      taskQueue: coordinatorQueue,
      args: [{ coordinator: coordinatorAddress, question }],
    });

  test('is answered by the key whose bond is at stake', async () => {
    const call = { to: runnerAddress(9), data: hash('f') };
    const override = { findAnswer: async () => call };
    const stack = await fakeStack(temporal(), { spec: fakeSpec(), runners: {}, override });
    await stack.run(() => ask('1'));
    expect(stack.seen.calls).toEqual(['answer']);
  });

  test('is left alone when nobody waits for the answer any more', async () => {
    const stack = await fakeStack(temporal(), { spec: fakeSpec(), runners: {} });
    await stack.run(() => ask('2'));
    expect(stack.seen.calls).toEqual([]);
  });
});
