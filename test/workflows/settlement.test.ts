import { describe, expect, test } from '@jest/globals';
import { coordinatorQueue, settlementWorkflowId } from '#core/names.js';
import type { EpochPlan } from '#workflows/types.js';
import { coordinatorAddress, fakePlan, fakeSpec, fakeStack } from './fakes.js';
import { temporal } from './running.js';

const settle = (epoch: number) =>
  temporal().client.workflow.execute('settlement', {
    workflowId: settlementWorkflowId(coordinatorAddress, epoch),
    taskQueue: coordinatorQueue,
    args: [{ payer: coordinatorAddress, epoch }],
  });

describe('a settlement', () => {
  test('publishes one root and is effective after its window', async () => {
    const stack = await fakeStack(temporal(), { spec: fakeSpec(), runners: {} });
    await stack.run(() => settle(1));
    expect(stack.seen.calls).toEqual(['publish 1', 'epoch published', 'epoch effective']);
  });

  test('has budgets released before it plans what to pay from them', async () => {
    const plans: (EpochPlan | 'unreleased')[] = ['unreleased'];
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec(),
      runners: {},
      override: {
        planEpoch: async ({ payer, epoch }) => plans.pop() ?? { ...fakePlan, payer, epoch },
      },
    });
    await stack.run(() => settle(2));
    expect(stack.seen.calls).toEqual(['release', 'publish 2', 'epoch published', 'epoch effective']);
  });
});
