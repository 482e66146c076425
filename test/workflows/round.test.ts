import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { roundWorkflowId } from '#core/names.js';
import { sealedEncoding } from '#services/runnerPayloads.js';
import {
  answering,
  fakeCodec,
  fakePrepared,
  fakeSpec,
  fakeStack,
  hash,
  runnerAddress,
  silent,
} from './fakes.js';
import { finish, last, lastOfRound, temporal } from './running.js';

const [first, second, third] = [runnerAddress(1), runnerAddress(2), runnerAddress(3)];

describe('a round', () => {
  test('without held-out data evaluates nothing and reports the loss in training', async () => {
    const stack = await fakeStack(temporal(), {
      spec: { ...fakeSpec({ rounds: 1 }), evaluation: null },
      runners: { [first]: answering(1), [second]: answering(1) },
    });
    await stack.run(() => finish(`0x${'20'.repeat(32)}`));
    const phases = stack.seen.rounds.map(({ phase }) => phase);
    expect(phases).not.toContain('evaluating');
    expect(phases).toContain('archiving');
    const { accuracy, loss } = lastOfRound(stack.seen.rounds, 1);
    expect(accuracy).toBeNull();
    expect(loss).toBeGreaterThan(0);
  });

  test('has large updates added in shards, and repeats a shard that fails, alone', async () => {
    const job = `0x${'28'.repeat(32)}` as const;
    const spec = fakeSpec({ rounds: 1 });
    const asked: string[] = [];
    const stack = await fakeStack(temporal(), {
      spec,
      runners: { [first]: answering(1), [second]: answering(1) },
      override: {
        prepareJob: async () => ({ ...fakePrepared(job, spec), shards: 2 }),
        aggregate: async () => {
          throw ApplicationFailure.nonRetryable('the worker cannot hold them');
        },
        sumShard: async ({ plan }) => {
          asked.push(plan.slice(-1));
          if (asked.filter((one) => one === 'b').length === 1 && plan === hash('b'))
            throw ApplicationFailure.retryable('the function was killed', 'UNAVAILABLE');
          return plan;
        },
      },
    });
    await stack.run(() => finish(job));
    expect(asked.sort()).toEqual(['a', 'b', 'b']);
    expect(stack.seen.calls).toContain('join a,b');
    expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 1 });
  });

  test('admits a slow runner within the grace period after the quorum', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 2, rounds: 1, graceFactor: 10 }),
      runners: { [first]: answering(300), [second]: answering(300), [third]: answering(600) },
    });
    await stack.run(() => finish(hash('12')));
    const round = lastOfRound(stack.seen.rounds, 1);
    expect(round.participants.map(({ state }) => state)).toEqual(['done', 'done', 'done']);
    expect(round.missing).toEqual([]);
  });

  test('goes on without a runner that is late, and says so', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 2, rounds: 1 }),
      runners: { [first]: answering(50), [second]: answering(50), [third]: silent },
    });
    const started = Date.now();
    await stack.run(() => finish(hash('13')));
    expect(Date.now() - started).toBeLessThan(10_000);
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: third, code: 'late', reason: expect.stringContaining('the round went on without it') },
    ]);
  });

  test('asks more than a hundred runners in groups, and goes on without those that are not there', async () => {
    const selected = Array.from({ length: 150 }, (_, index) => runnerAddress(index + 1));
    const far = runnerAddress(140);
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 3, rounds: 1, graceFactor: 2 }),
      runners: { [first]: answering(300), [second]: answering(300), [far]: answering(300) },
      selected,
    });
    await stack.run(() => finish(`0x${'21'.repeat(32)}`));
    const { phase, participants, missing } = lastOfRound(stack.seen.rounds, 1);
    expect(phase).toBe('done');
    const done = participants.filter(({ state }) => state === 'done').map(({ runner }) => runner);
    expect(done).toEqual([first, second, far]);
    expect(missing).toHaveLength(147);
    const { workflowExecutionInfo } = await temporal()
      .client.workflow.getHandle(`0x${'21'.repeat(32)}/round/1`)
      .describe()
      .then(({ raw }) => raw);
    expect(Number(workflowExecutionInfo?.historyLength)).toBeLessThan(150);
  });

  test('does not count an update that was refused', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 2, rounds: 1 }),
      runners: { [first]: answering(1), [second]: answering(1), [third]: answering(1, { samples: 101 }) },
    });
    await stack.run(() => finish(hash('14')));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: third, code: 'rejected', reason: 'too many samples' },
    ]);
  });

  test('rejects a runner that answers in the clear, and goes on', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 1, rounds: 1, graceFactor: 100 }),
      runners: { [first]: answering(400), [second]: answering(1) },
      unsealed: [second],
    });
    await stack.run(() => finish(`0x${'24'.repeat(32)}`));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: second, code: 'rejected', reason: expect.stringContaining('it is not encrypted') },
    ]);
  });

  test('replays what runners answered with the keys of that time', async () => {
    const job = `0x${'22'.repeat(32)}` as const;
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ rounds: 1 }),
      runners: { [first]: answering(1), [second]: answering(1) },
    });
    await stack.run(() => finish(job));
    const round = temporal().client.workflow.getHandle(roundWorkflowId(job, 1));
    await Worker.runReplayHistory(
      {
        workflowBundle: { code: readFileSync('dist/workflow-bundle.js', 'utf8') },
        dataConverter: { payloadCodecs: [fakeCodec()] },
      },
      await round.fetchHistory(),
      // Payloads are bound to it.
      round.workflowId,
    );
    const { events } = await round.fetchHistory();
    const answers = (events ?? []).flatMap(
      (event) => event.activityTaskCompletedEventAttributes?.result?.payloads ?? [],
    );
    const sealed = answers.filter(
      ({ metadata }) => Buffer.from(metadata?.['encoding'] ?? []).toString() === sealedEncoding,
    );
    expect(sealed).toHaveLength(2);
  });

  test("takes a runner's refusal as an answer, with its reason", async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 1, rounds: 1, graceFactor: 100 }),
      runners: {
        [first]: answering(200),
        [second]: async ({ runner }) => ({
          kind: 'refused',
          runner,
          code: 'POLICY',
          reason: 'not on Sundays',
        }),
      },
    });
    await stack.run(() => finish(hash('15')));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: second, code: 'refused', reason: 'POLICY: not on Sundays' },
    ]);
  });

  test('clips what a runner says, and does not stumble over an answer that is none', async () => {
    const stack = await fakeStack(temporal(), {
      spec: fakeSpec({ quorum: 1, rounds: 1, graceFactor: 100 }),
      runners: {
        [first]: answering(200),
        [second]: async ({ runner }) => ({ kind: 'refused', runner, code: 'NO', reason: 'x'.repeat(5_000) }),
        [third]: async () => null as never,
      },
    });
    await stack.run(() => finish(hash('20')));
    const { missing } = lastOfRound(stack.seen.rounds, 1);
    expect(missing.map(({ code }) => code).sort()).toEqual(['failed', 'refused']);
    for (const { reason } of missing) expect(reason.length).toBeLessThan(1_000);
  });
});
