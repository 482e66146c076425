import { describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import { signalNames } from '#core/names.js';
import type { JobView, RoundView } from '#core/views.js';
import { until } from '../support/until.js';
import {
  answering,
  fakeModel,
  fakePrepared,
  fakeSpec,
  fakeStack,
  hash,
  runnerAddress,
  silent,
} from './fakes.js';
import { finish, last, lastOfRound, start, temporal } from './running.js';

const [first, second] = [runnerAddress(1), runnerAddress(2)];
const rises = (views: readonly (JobView | RoundView)[]) =>
  views.every((view, index) => index === 0 || view.seq > (views[index - 1]?.seq ?? 0));

describe('a training job', () => {
  test('opens and closes each round in order, then finishes, and projects with a rising seq', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec(),
      runners: { [first]: answering(1), [second]: answering(1) },
    });
    await stack.run(() => finish(hash('11')));
    expect(stack.seen.calls).toEqual(['create', 'open 1', 'close 1', 'open 2', 'close 2', 'finish']);
    expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 2, accuracy: 0.9 });
    expect(rises(stack.seen.jobs)).toBe(true);
    expect(lastOfRound(stack.seen.rounds, 2)).toMatchObject({ phase: 'done', accuracy: 0.9 });
    expect(rises(stack.seen.rounds.filter(({ round }) => round === 1))).toBe(true);
  });

  test('fails at the deadline when the quorum is not reached, and finishes the job on chain', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 2, rounds: 1, deadlineSeconds: 2 }),
      runners: { [first]: answering(1), [second]: silent },
    });
    const failure = stack.run(() => finish(hash('16')));
    await expect(failure).rejects.toThrow(WorkflowFailedError);
    expect(last(stack.seen.jobs)).toMatchObject({
      state: 'failed',
      problem: { code: 'QUORUM_NOT_REACHED', message: expect.stringContaining('1 of the 2 updates') },
    });
    // Whoever came has done its work: its receipt is worth a fee, since the round died.
    expect(stack.seen.calls).toEqual(['create', 'open 1', 'receipts 1 for 1', 'finish']);
  });

  test('that asks for attesters keeps the draw and closes with their signatures', async () => {
    const signature = `0x${'ab'.repeat(64)}1b` as const;
    const waits: number[] = [];
    const stack = await fakeStack(temporal(), {
      spec: { ...fakeSpec({ rounds: 1 }), attesters: 2 },
      runners: { [first]: answering(1), [second]: answering(1) },
      override: {
        awaitAttestations: async ({ seconds }) => {
          waits.push(seconds);
          const given = [0, 3].slice(0, waits.length).map((place) => ({ place, signature }));
          return { needed: 2, given, silent: [] };
        },
      },
    });
    await stack.run(() => finish(`0x${'25'.repeat(32)}`));
    expect(waits).toHaveLength(2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(20);
    expect(stack.seen.calls).toEqual([
      'create',
      'open 1',
      'draw 1',
      'propose 1',
      'withdraw 1',
      'close 1 with 2',
      'finish',
    ]);
  });

  test('does not close a round without the signatures that it needs, and says whose are missing', async () => {
    const stack = await fakeStack(temporal(), {
      spec: { ...fakeSpec({ rounds: 1, deadlineSeconds: 1 }), attesters: 1 },
      runners: { [first]: answering(1), [second]: answering(1) },
      override: {
        awaitAttestations: async ({ seconds }) => {
          await new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));
          return { needed: 1, given: [], silent: [runnerAddress(9)] };
        },
      },
    });
    await expect(stack.run(() => finish(`0x${'26'.repeat(32)}`))).rejects.toThrow(WorkflowFailedError);
    expect(stack.seen.calls).toEqual(['create', 'open 1', 'draw 1', 'propose 1', 'withdraw 1', 'finish']);
    expect(last(stack.seen.jobs)).toMatchObject({
      state: 'failed',
      problem: { code: 'ATTESTERS_MISSING', message: expect.stringContaining(runnerAddress(9)) },
    });
  });

  test('fails before anything is on chain when its spec cannot be run', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec(),
      runners: {},
      override: {
        prepareJob: async () => {
          throw ApplicationFailure.nonRetryable('no weights', 'MODEL_NO_WEIGHTS');
        },
      },
    });
    await expect(stack.run(() => finish(hash('17')))).rejects.toThrow(WorkflowFailedError);
    expect(stack.seen.calls).toEqual(['failed before it began: MODEL_NO_WEIGHTS']);
  });

  test('pauses before the next round and goes on when told to', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 1, rounds: 2 }),
      runners: { [first]: answering(300) },
    });
    await stack.run(async () => {
      const handle = await start(hash('18'));
      await handle.signal(signalNames.pause);
      await until(() => stack.seen.jobs.some(({ state }) => state === 'paused'), 'the pause');
      await handle.signal(signalNames.resume);
      await handle.result();
    });
    expect(stack.seen.jobs.map(({ state }) => state)).toContain('paused');
    expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 2 });
  });

  test('ends a round at once when it is cancelled, and finishes on chain', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 1, rounds: 2, deadlineSeconds: 600 }),
      runners: { [first]: silent },
    });
    await stack.run(async () => {
      const handle = await start(hash('19'));
      await until(() => stack.seen.rounds.some(({ phase }) => phase === 'collecting'), 'the round collects');
      await handle.signal(signalNames.cancel);
      await handle.result();
    });
    expect(last(stack.seen.jobs)).toMatchObject({ state: 'cancelled', round: 0 });
    expect(last(stack.seen.calls)).toBe('finish');
  });
});

test('a job that is taken over goes on behind the last round that stands', async () => {
  const spec = fakeSpec({ quorum: 2, rounds: 3 });
  const archive = { model: 'm'.repeat(43), manifest: 'p'.repeat(43), manifestHash: hash('3') };
  const takenOver = { round: 2, version: fakeModel('2'), accuracy: 0.5, loss: 1, archive };
  const stack = await fakeStack(temporal(), {
    spec,
    runners: { [first]: answering(1), [second]: answering(1) },
    override: { prepareJob: async ({ job }) => ({ ...fakePrepared(job, spec), takenOver }) },
  });
  await stack.run(() => finish(hash('23')));
  expect(stack.seen.calls).toEqual(['create', 'open 3', 'close 3', 'finish']);
  expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 3 });
});
