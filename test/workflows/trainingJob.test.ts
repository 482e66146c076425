import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import {
  answerWorkflowId,
  coordinatorQueue,
  jobWorkflowId,
  roundWorkflowId,
  settlementWorkflowId,
  signalNames,
} from '#core/names.js';
import type { JobView, RoundView } from '#core/views.js';
import type { RoundQuestion } from '#audit/questions.js';
import { sealedEncoding } from '#services/runnerPayloads.js';
import { findTemporal } from '#local/temporal/find.js';
import type { EpochPlan } from '#workflows/types.js';
import { startTemporal } from '../support/temporal.js';
import {
  answering,
  coordinatorAddress,
  fakeCodec,
  fakeModel,
  fakePlan,
  fakePrepared,
  fakeSpec,
  fakeStack,
  hash,
  runnerAddress,
  silent,
} from './fakes.js';

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await startTemporal();
});
afterAll(async () => {
  if (process.env['RECORD_HISTORIES']) await recordHistories();
  await environment.teardown();
});

const [first, second, third] = [runnerAddress(1), runnerAddress(2), runnerAddress(3)];
const start = (job: `0x${string}`) =>
  environment.client.workflow.start('trainingJob', {
    workflowId: jobWorkflowId(job),
    taskQueue: coordinatorQueue,
    args: [{ job }],
  });
const finish = async (job: `0x${string}`) => (await start(job)).result();
const last = <T>(list: readonly T[]): T => {
  const item = list.at(-1);
  if (item === undefined) throw new Error('the list is empty');
  return item;
};
const lastOfRound = (rounds: readonly RoundView[], round: number) =>
  last(rounds.filter((view) => view.round === round));
const rises = (views: readonly (JobView | RoundView)[]) =>
  views.every((view, index) => index === 0 || view.seq > (views[index - 1]?.seq ?? 0));

describe('a training job', () => {
  test('opens and closes each round in order, then finishes, and projects with a rising seq', async () => {
    const stack = await fakeStack(environment, {
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

  test('without held-out data evaluates nothing and reports the loss in training', async () => {
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ quorum: 2, rounds: 1, graceFactor: 10 }),
      runners: { [first]: answering(300), [second]: answering(300), [third]: answering(600) },
    });
    await stack.run(() => finish(hash('12')));
    const round = lastOfRound(stack.seen.rounds, 1);
    expect(round.participants.map(({ state }) => state)).toEqual(['done', 'done', 'done']);
    expect(round.missing).toEqual([]);
  });

  test('goes on without a runner that is late, and says so', async () => {
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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
    const { workflowExecutionInfo } = await environment.client.workflow
      .getHandle(`0x${'21'.repeat(32)}/round/1`)
      .describe()
      .then(({ raw }) => raw);
    expect(Number(workflowExecutionInfo?.historyLength)).toBeLessThan(150);
  });

  test('does not count an update that was refused', async () => {
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ quorum: 2, rounds: 1 }),
      runners: { [first]: answering(1), [second]: answering(1), [third]: answering(1, { samples: 101 }) },
    });
    await stack.run(() => finish(hash('14')));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: third, code: 'rejected', reason: 'too many samples' },
    ]);
  });

  test('rejects a runner that answers in the clear, and goes on', async () => {
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ quorum: 1, rounds: 1, graceFactor: 100 }),
      runners: { [first]: answering(400), [second]: answering(1) },
      unsealed: [second],
    });
    await stack.run(() => finish(`0x${'21'.repeat(32)}`));
    expect(lastOfRound(stack.seen.rounds, 1).missing).toEqual([
      { runner: second, code: 'rejected', reason: expect.stringContaining('it is not encrypted') },
    ]);
  });

  test('replays what runners answered with the keys of that time', async () => {
    const job = `0x${'22'.repeat(32)}` as const;
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ rounds: 1 }),
      runners: { [first]: answering(1), [second]: answering(1) },
    });
    await stack.run(() => finish(job));
    const round = environment.client.workflow.getHandle(roundWorkflowId(job, 1));
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
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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

  test('fails at the deadline when the quorum is not reached, and finishes the job on chain', async () => {
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
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
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ quorum: 1, rounds: 2 }),
      runners: { [first]: answering(300) },
    });
    await stack.run(async () => {
      const handle = await start(hash('18'));
      await handle.signal(signalNames.pause);
      await until(() => stack.seen.jobs.some(({ state }) => state === 'paused'));
      await handle.signal(signalNames.resume);
      await handle.result();
    });
    expect(stack.seen.jobs.map(({ state }) => state)).toContain('paused');
    expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 2 });
  });

  test('ends a round at once when it is cancelled, and finishes on chain', async () => {
    const stack = await fakeStack(environment, {
      spec: fakeSpec({ quorum: 1, rounds: 2, deadlineSeconds: 600 }),
      runners: { [first]: silent },
    });
    await stack.run(async () => {
      const handle = await start(hash('19'));
      await until(() => stack.seen.rounds.some(({ phase }) => phase === 'collecting'));
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
  const stack = await fakeStack(environment, {
    spec,
    runners: { [first]: answering(1), [second]: answering(1) },
    override: { prepareJob: async ({ job }) => ({ ...fakePrepared(job, spec), takenOver }) },
  });
  await stack.run(() => finish(hash('23')));
  expect(stack.seen.calls).toEqual(['create', 'open 3', 'close 3', 'finish']);
  expect(last(stack.seen.jobs)).toMatchObject({ state: 'done', round: 3 });
});

describe('a settlement', () => {
  test('publishes one root and is effective after its window', async () => {
    const stack = await fakeStack(environment, { spec: fakeSpec(), runners: {} });
    await stack.run(() =>
      environment.client.workflow.execute('settlement', {
        workflowId: settlementWorkflowId(coordinatorAddress, 1),
        taskQueue: coordinatorQueue,
        args: [{ payer: coordinatorAddress, epoch: 1 }],
      }),
    );
    expect(stack.seen.calls).toEqual(['publish 1', 'epoch published', 'epoch effective']);
  });

  test('has budgets released before it plans what to pay from them', async () => {
    const plans: (EpochPlan | 'unreleased')[] = ['unreleased'];
    const stack = await fakeStack(environment, {
      spec: fakeSpec(),
      runners: {},
      override: {
        planEpoch: async ({ payer, epoch }) => plans.pop() ?? { ...fakePlan, payer, epoch },
      },
    });
    await stack.run(() =>
      environment.client.workflow.execute('settlement', {
        workflowId: settlementWorkflowId(coordinatorAddress, 2),
        taskQueue: coordinatorQueue,
        args: [{ payer: coordinatorAddress, epoch: 2 }],
      }),
    );
    expect(stack.seen.calls).toEqual(['release', 'publish 2', 'epoch published', 'epoch effective']);
  });
});

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
    environment.client.workflow.execute('answering', {
      workflowId: answerWorkflowId(question.id, transaction),
      taskQueue: coordinatorQueue,
      args: [{ coordinator: coordinatorAddress, question }],
    });

  test('is answered by the key whose bond is at stake', async () => {
    const call = { to: runnerAddress(9), data: hash('f') };
    const override = { findAnswer: async () => call };
    const stack = await fakeStack(environment, { spec: fakeSpec(), runners: {}, override });
    await stack.run(() => ask('1'));
    expect(stack.seen.calls).toEqual(['answer']);
  });

  test('is left alone when nobody waits for the answer any more', async () => {
    const stack = await fakeStack(environment, { spec: fakeSpec(), runners: {} });
    await stack.run(() => ask('2'));
    expect(stack.seen.calls).toEqual([]);
  });
});

/** RECORD_HISTORIES=1 renews what replay.test.ts replays: do it only when old histories may be forgotten. */
async function recordHistories(): Promise<void> {
  const folder = 'test/workflows/histories';
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for await (const { workflowId, runId, status } of environment.client.workflow.list()) {
    const { stdout } = await promisify(execFile)(
      (await findTemporal()).path,
      [
        'workflow',
        'show',
        '-w',
        workflowId,
        '-r',
        runId,
        '--output',
        'json',
        '--address',
        environment.address,
      ],
      { maxBuffer: 2 ** 26 },
    );
    const name = `${workflowId.replace(/0x(..)[0-9a-f]*/g, 'job-$1').replaceAll('/', '-')}-${status.name}.json`;
    writeFileSync(`${folder}/${name.toLowerCase()}`, withoutPlaces(stdout));
  }
}

/** Stack traces without the folders of this machine; packages may lie elsewhere than the checkout. */
function withoutPlaces(history: string): string {
  const roots = [process.cwd(), dirname(realpathSync('node_modules'))];
  return roots.reduce((text, root) => text.replaceAll(`${root}/`, ''), history);
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('it never came to that');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
