import { randomBytes } from 'node:crypto';
import type { ClientHttp2Session } from 'node:http2';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { temporal } from '@temporalio/proto';
import { until } from '#test/support/until.js';
import { openHouse, type TestHouse } from './house.js';
import {
  completion,
  framed,
  hangUp,
  knock,
  pollOf,
  resultOf,
  send,
  takeTask,
  type TestRunner,
} from './runners.js';

const api = temporal.api.workflowservice.v1;
const status = { ok: 0, invalid: 3, notFound: 5, denied: 7, exhausted: 8 };

let house: TestHouse;
let alice: TestRunner;
let mallory: TestRunner;
/** Mallory has entered like everybody else, and then tries. */
let evil: ClientHttp2Session;
let honest: ClientHttp2Session;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  house = await openHouse();
  [alice, mallory] = await Promise.all([house.guest(), house.guest()]);
});
beforeEach(() => {
  sessions.splice(0).forEach(hangUp);
  evil = knock(house.gatekeeper, mallory);
  honest = knock(house.gatekeeper, alice);
  sessions.push(evil, honest);
  house.gatekeeper.refusals();
});
afterAll(async () => {
  sessions.forEach(hangUp);
  await house.close();
});

const answerTo = (task: Awaited<ReturnType<typeof takeTask>>, runner: TestRunner, value: unknown) =>
  resultOf(task, runner, house.gatekeeper.member.publicKey, value);

describe('tasks of others', () => {
  test('a runner polls its own queue, under its own name, and no other', async () => {
    const asked = await house.ask(alice);
    const task = await takeTask(honest, alice.runner);
    const queue = await house.temporal.connection.workflowService.describeTaskQueue({
      namespace: 'default',
      taskQueue: { name: `runner/${alice.runner}` },
      taskQueueType: 2,
    });
    expect(queue.pollers?.map(({ identity }) => identity)).toEqual([`runner/${alice.runner}`]);
    const refused = await send(evil, 'PollActivityTaskQueue', pollOf(alice.runner));
    expect(refused).toMatchObject({ status: status.denied, message: "another one's task queue" });
    for (const taskQueue of [
      { name: `runner/${mallory.runner}`, kind: 2 },
      { name: `runner/${mallory.runner}`, kind: 2, normalName: `runner/${alice.runner}` },
      { name: `runner/${mallory.runner}`, normalName: `runner/${alice.runner}` },
      { name: `/_sys/runner/${alice.runner}/1`, kind: 1 },
      { name: 'coordinator', kind: 1 },
    ])
      expect(await send(evil, 'PollActivityTaskQueue', pollOf(mallory.runner, { taskQueue }))).toMatchObject({
        status: status.denied,
      });
    const result = await answerTo(task, alice, { mine: true });
    const answered = await send(
      honest,
      'RespondActivityTaskCompleted',
      completion({ taskToken: task.taskToken, result }),
    );
    expect(answered.status).toBe(status.ok);
    expect(await asked.outcome).toMatchObject({ kind: 'answered', answer: { mine: true } });
  });

  test('neither answers, fails, cancels nor reports a task that was handed to another runner', async () => {
    const asked = await house.ask(alice);
    const task = await takeTask(honest, alice.runner);
    const { taskToken } = task;
    const result = await answerTo(task, alice, { stolen: true });
    const attempts: [string, Uint8Array][] = [
      ['RespondActivityTaskCompleted', completion({ taskToken, result })],
      ['RespondActivityTaskCompleted', completion({ taskToken: taskToken.subarray(32), result })],
      ['RespondActivityTaskFailed', completion({ taskToken })],
      ['RespondActivityTaskCanceled', completion({ taskToken })],
      ['RecordActivityTaskHeartbeat', completion({ taskToken })],
    ];
    for (const [method, body] of attempts)
      expect(await send(evil, method, body)).toMatchObject({
        status: status.denied,
        message: 'a task token that was not handed to this runner',
      });
    await until(
      () => house.gatekeeper.refusals().includes('a task token that was not handed to this runner'),
      'the line of the log',
    );
    await send(honest, 'RespondActivityTaskCompleted', completion({ taskToken, result }));
    expect((await asked.outcome).kind).toBe('answered');
  });

  test('a token with any bit changed, or cut, is not one', async () => {
    const asked = await house.ask(alice);
    const task = await takeTask(honest, alice.runner);
    const result = await answerTo(task, alice, {});
    for (const at of [0, 31, 32, task.taskToken.length - 1]) {
      const changed = Uint8Array.from(task.taskToken);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(
        await send(honest, 'RespondActivityTaskCompleted', completion({ taskToken: changed, result })),
      ).toMatchObject({ status: status.denied });
    }
    for (const taskToken of [
      new Uint8Array(0),
      task.taskToken.subarray(0, 32),
      task.taskToken.subarray(0, 31),
    ])
      expect(
        await send(honest, 'RespondActivityTaskCompleted', completion({ taskToken, result })),
      ).toMatchObject({
        status: status.denied,
      });
    await asked.terminate();
  });

  test('its own answer, sent again after the first, changes nothing', async () => {
    const asked = await house.ask(alice);
    const task = await takeTask(honest, alice.runner);
    const { taskToken } = task;
    const first = completion({ taskToken, result: await answerTo(task, alice, { first: true }) });
    const second = completion({ taskToken, result: await answerTo(task, alice, { first: false }) });
    expect((await send(honest, 'RespondActivityTaskCompleted', first)).status).toBe(status.ok);
    expect((await send(honest, 'RespondActivityTaskCompleted', first)).status).toBe(status.notFound);
    expect((await send(honest, 'RespondActivityTaskCompleted', second)).status).toBe(status.notFound);
    expect(await asked.outcome).toMatchObject({ answer: { first: true } });
  });
});

describe('calls that are not for runners', () => {
  test.each([
    'StartWorkflowExecution',
    'SignalWithStartWorkflowExecution',
    'ListWorkflowExecutions',
    'GetWorkflowExecutionHistory',
    'DescribeWorkflowExecution',
    'QueryWorkflow',
    'SignalWorkflowExecution',
    'UpdateWorkflowExecution',
    'TerminateWorkflowExecution',
    'RequestCancelWorkflowExecution',
    'ResetWorkflowExecution',
    'DeleteWorkflowExecution',
    'PollWorkflowTaskQueue',
    'RespondWorkflowTaskCompleted',
    'PollNexusTaskQueue',
    'RespondActivityTaskCompletedById',
    'RespondActivityTaskFailedById',
    'RespondActivityTaskCanceledById',
    'RecordActivityTaskHeartbeatById',
    'StartActivityExecution',
    'PauseActivity',
    'ResetActivity',
    'RegisterNamespace',
    'ListNamespaces',
    'UpdateNamespace',
    'DescribeTaskQueue',
    'GetClusterInfo',
    'CreateSchedule',
    'StartBatchOperation',
    '__proto__',
    'constructor',
    '/temporal.api.operatorservice.v1.OperatorService/DeleteNamespace',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    '/temporal.api.workflowservice.v1.WorkflowService//GetSystemInfo',
  ])('%s', async (method) => {
    expect(await send(evil, method, framed(new Uint8Array(0)))).toMatchObject({
      status: status.denied,
      message: 'a call that runners may not make',
    });
  });

  test('another namespace is not described, polled, or answered into', async () => {
    const describing = (namespace: string, id = '') =>
      send(
        evil,
        'DescribeNamespace',
        framed(api.DescribeNamespaceRequest.encode({ namespace, id }).finish()),
      );
    expect((await describing('default')).status).toBe(status.ok);
    expect(await describing('temporal-system')).toMatchObject({ status: status.denied });
    expect(await describing('', '32049b68-7872-4094-8e63-d0dd59896a83')).toMatchObject({
      status: status.denied,
    });
    const poll = pollOf(mallory.runner, { namespace: 'temporal-system' });
    expect(await send(evil, 'PollActivityTaskQueue', poll)).toMatchObject({ status: status.denied });
    const answer = completion({ namespace: 'temporal-system', taskToken: randomBytes(60) });
    expect(await send(evil, 'RespondActivityTaskCompleted', answer)).toMatchObject({ status: status.denied });
  });

  test('what a worker tells of itself is answered and goes nowhere', async () => {
    const heartbeat = api.RecordWorkerHeartbeatRequest.encode({
      namespace: 'default',
      identity: 'runner',
      workerHeartbeat: [{ workerInstanceKey: 'forged', workerIdentity: 'coordinator' }],
    }).finish();
    expect((await send(evil, 'RecordWorkerHeartbeat', framed(heartbeat))).status).toBe(status.ok);
    // This server does not even know the call.
    const straight = house.temporal.connection.workflowService.recordWorkerHeartbeat({
      namespace: 'default',
    });
    await expect(straight).rejects.toThrow(/UNIMPLEMENTED|not supported|unknown/i);
  });
});

test('nothing that comes from outside can write a line of the log of its own', async () => {
  const path = `/x\u001b[2J${'y'.repeat(300)}%0a{"level":"info","msg":"all is well"}`;
  await send(evil, encodeURI(path), framed(new Uint8Array(0)));
  const line = house.gatekeeper.lines.findLast(({ reason }) => reason === 'a call that runners may not make');
  expect(line).toMatchObject({ msg: 'refused', sender: mallory.runner });
  expect(String(line?.['path']).length).toBeLessThanOrEqual(120);
  expect(house.gatekeeper.lines.some(({ msg }) => msg === 'all is well')).toBe(false);
});
