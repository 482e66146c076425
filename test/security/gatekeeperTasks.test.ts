import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Door } from '#gpu-runner/enrolment.js';
import { pollTasks, type TaskHandler } from '#gpu-runner/taskWorker.js';
import { toHex } from '#core/hex.js';
import type { TrainAnswer } from '#core/messages.js';
import { exampleRunner } from '#test/services/views.js';
import { until } from '#test/support/until.js';
import { openHouse, type TestHouse } from './house.js';
import { enter, makeRunner, type TestRunner } from './runners.js';

let house: TestHouse;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

const running: { stop: AbortController; done: Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop } of running) stop.abort();
  for (const { done } of running.splice(0)) await done;
});

/** The runner's own worker on Temporal's SDK; `go` gives it another certificate. */
function work(runner: TestRunner, train: TaskHandler) {
  const stop = new AbortController();
  const messages: string[] = [];
  let replace = new AbortController();
  let door = doorOf(runner, replace.signal);
  const say = (_: object, message: string) => void messages.push(message);
  const done = pollTasks(
    {
      door: () => Promise.resolve(door),
      runner: runner.runner,
      train,
      reveal: train,
      progress: () => ({ step: 1 }),
      log: { debug: say, info: say, warn: say, error: say },
    },
    stop.signal,
  );
  const started = { stop, done, messages };
  running.push(started);
  return {
    ...started,
    go(next: TestRunner) {
      const before = replace;
      replace = new AbortController();
      door = doorOf(next, replace.signal);
      before.abort();
    },
  };
}

function doorOf({ certificate, sealing }: TestRunner, replaced: AbortSignal): Door {
  return {
    address: house.gatekeeper.address,
    namespace: 'default',
    certificate: certificate.certificate,
    privateKey: certificate.privateKey,
    authorities: house.gatekeeper.certificate.certificate,
    coordinatorSealingKey: toHex(house.gatekeeper.member.publicKey),
    sealingKey: sealing.privateKey,
    replaced,
  };
}

const answered = (text: string) => ({ kind: 'refused', code: text }) as unknown as TrainAnswer;

/** A task that takes as long as a test wants. */
function slowTask() {
  let attempts = 0;
  const finishing = new AbortController();
  const finished = new Promise<void>((resolve) =>
    finishing.signal.addEventListener('abort', () => resolve()),
  );
  const train: TaskHandler = async (_, signal) => {
    attempts++;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    await Promise.race([finished, stopped]);
    return answered(`attempt ${attempts}`);
  };
  return { train, finish: () => finishing.abort(), attempts: () => attempts };
}

test("the SDK's worker takes, reports and answers tasks; Temporal sees nothing of them", async () => {
  const runner = await house.guest();
  const seen: unknown[] = [];
  work(runner, async (task) => {
    seen.push(task);
    return answered('done');
  });
  const asked = await house.ask(runner);
  expect(await asked.outcome).toMatchObject({ kind: 'answered', answer: { code: 'done' } });
  expect(seen).toEqual([{ runner: runner.runner }]);
  const { executions } = await house.temporal.connection.workflowService.listWorkflowExecutions({
    namespace: 'default',
  });
  for (const { execution } of executions ?? []) {
    const { history } = await house.temporal.connection.workflowService.getWorkflowExecutionHistory({
      namespace: 'default',
      execution: execution ?? null,
    });
    expect(Buffer.from(JSON.stringify(history)).toString()).not.toMatch(/eyJ|"done"/);
  }
});

test('what goes wrong at a runner is told in the sealed details only', async () => {
  const runner = await house.guest();
  work(runner, () => Promise.reject(new Error('no file /home/ward/patients.csv')));
  const asked = await house.ask(runner, { attempts: 1 });
  expect(await asked.outcome).toMatchObject({
    kind: 'failed',
    type: 'INTERNAL',
    message: 'no file /home/ward/patients.csv',
  });
});

describe('the gatekeeper may go at any moment', () => {
  test('killed with a task running: the same attempt answers, nothing is lost', async () => {
    const runner = await house.guest();
    const { train, finish, attempts } = slowTask();
    work(runner, train);
    const asked = await house.ask(runner, { heartbeatSeconds: 10 });
    await until(() => attempts() === 1, 'the task');
    await until(async () => (await asked.pending())?.progress !== null, 'a heartbeat');
    await house.gatekeeper.end('SIGKILL');
    const began = performance.now();
    await house.gatekeeper.start();
    finish();
    expect(await asked.outcome).toMatchObject({ kind: 'answered', answer: { code: 'attempt 1' } });
    console.log(`answered ${Math.round(performance.now() - began)} ms after the kill`);
    expect(attempts()).toBe(1);
    // And the next task comes.
    const next = await house.ask(runner);
    expect((await next.outcome).kind).toBe('answered');
  }, 60_000);

  test('stopped gently: open polls end, calls under way finish, it is gone within seconds', async () => {
    const runner = await house.guest();
    const { train, finish, attempts } = slowTask();
    const worker = work(runner, train);
    const asked = await house.ask(runner, { heartbeatSeconds: 10 });
    await until(() => attempts() === 1, 'the task');
    const began = performance.now();
    expect(await house.gatekeeper.end('SIGTERM')).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
    await house.gatekeeper.start();
    finish();
    expect(await asked.outcome).toMatchObject({ answer: { code: 'attempt 1' } });
    expect(worker.messages.filter((line) => line.startsWith('cannot'))).toEqual([]);
  }, 60_000);

  test('with another secret beside the old one, tokens of before still count; without the old one they do not', async () => {
    const runner = await house.guest();
    const { train, finish, attempts } = slowTask();
    work(runner, train);
    const asked = await house.ask(runner, { heartbeatSeconds: 20 });
    await until(() => attempts() === 1, 'the task');
    const [old] = readFileSync(house.gatekeeper.secretsFile, 'utf8').split('\n');
    const fresh = randomBytes(32).toString('hex');
    await house.gatekeeper.end('SIGTERM');
    writeFileSync(house.gatekeeper.secretsFile, `${fresh}\n${old}\n`);
    await house.gatekeeper.start();
    finish();
    expect(await asked.outcome).toMatchObject({ answer: { code: 'attempt 1' } });
    await house.gatekeeper.end('SIGTERM');
    writeFileSync(house.gatekeeper.secretsFile, `${fresh}\n`);
    await house.gatekeeper.start();
    expect((await (await house.ask(runner)).outcome).kind).toBe('answered');
  }, 60_000);
});

test('a renewed certificate is taken up while a task runs, and the old one may end', async () => {
  const runner = await house.guest(6);
  const { train, finish, attempts } = slowTask();
  const worker = work(runner, train);
  const asked = await house.ask(runner, { heartbeatSeconds: 5, attempts: 1 });
  await until(() => attempts() === 1, 'the task');
  const renewed: TestRunner = { ...(await makeRunner()), runner: runner.runner, sealing: runner.sealing };
  await enter(house.table, renewed);
  worker.go(renewed);
  await until(() => worker.messages.includes('goes on with a new certificate'), 'the new connection');
  await until(() => Date.now() / 1_000 > runner.certificate.expiresAt + 2, 'the end of the old certificate');
  finish();
  expect(await asked.outcome).toMatchObject({ kind: 'answered', answer: { code: 'attempt 1' } });
  expect(attempts()).toBe(1);
  expect(await (await house.ask(runner)).outcome).toMatchObject({ kind: 'answered' });
}, 60_000);

describe('the table knows who is here', () => {
  test('a runner is connected from its first call on, at once gone when it goes, and one that trains stays', async () => {
    const runner = await house.guest();
    await house.table.enrolRunner(exampleRunner({ runner: runner.runner }));
    const connected = async () => (await house.table.getRunner(runner.runner))?.connected;
    expect(await connected()).toBe(false);
    const { train, finish, attempts } = slowTask();
    const worker = work(runner, train);
    await until(async () => (await connected()) === true, 'to be here');
    const asked = await house.ask(runner);
    await until(() => attempts() === 1, 'the task');
    // No poll is open now; heartbeats alone tell of it.
    await pause(3_000);
    expect(await connected()).toBe(true);
    finish();
    await asked.outcome;
    worker.stop.abort();
    const began = performance.now();
    await until(async () => (await connected()) === false, 'to be gone');
    expect(performance.now() - began).toBeLessThan(6_000);
  });

  test('signs of life are written every fifteen seconds', async () => {
    const runner = await house.guest();
    await house.table.enrolRunner(exampleRunner({ runner: runner.runner }));
    work(runner, slowTask().train);
    const writes = new Set<string>();
    await until(
      async () => {
        const view = await house.table.getRunner(runner.runner);
        if (view?.connected) writes.add(view.lastSeen);
        return writes.size === 2;
      },
      'a second sign',
      25,
    );
    const [first = '', second = ''] = writes;
    const seconds = (Date.parse(second) - Date.parse(first)) / 1_000;
    expect(seconds).toBeGreaterThan(13);
    expect(seconds).toBeLessThan(19);
  }, 40_000);
});
