import { randomBytes } from 'node:crypto';
import type { ClientHttp2Session } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { openHouse, type TestHouse } from './house.js';
import { framed, hangUp, knock, pollOf, resultOf, send, takeTask, type TestRunner } from './runners.js';

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

const completion = (change: temporal.api.workflowservice.v1.IRespondActivityTaskCompletedRequest) =>
  framed(api.RespondActivityTaskCompletedRequest.encode({ namespace: 'default', ...change }).finish());

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
    expect(house.gatekeeper.refusals()).toContain('a task token that was not handed to this runner');
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

describe('messages that are meant to break something', () => {
  /** A session of a runner of its own: too many refusals end one. */
  let session: ClientHttp2Session;
  let runner: TestRunner;
  beforeEach(async () => {
    runner = await house.guest();
    session = knock(house.gatekeeper, runner);
    sessions.push(session);
  });
  const poll = (body: Uint8Array, headers = {}) => send(session, 'PollActivityTaskQueue', body, headers);

  test('2 GB announced are refused before they come', async () => {
    const before = (await house.gatekeeper.health()).memoryMegabytes;
    const head = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]);
    expect(await poll(head)).toMatchObject({ status: status.exhausted });
    expect((await house.gatekeeper.health()).memoryMegabytes - before).toBeLessThan(50);
  });

  test('2 GB sent end with the first megabyte', async () => {
    const before = (await house.gatekeeper.health()).memoryMegabytes;
    const stream = session.request({
      ':method': 'POST',
      ':path': '/temporal.api.workflowservice.v1.WorkflowService/RespondActivityTaskCompleted',
      'content-type': 'application/grpc',
    });
    const ended = new Promise<number>((resolve) => {
      let code = -1;
      stream.on('response', (headers) => (code = Number(headers['grpc-status'])));
      stream.on('error', () => undefined);
      stream.once('close', () => resolve(code)).resume();
    });
    // Announced small, sent large.
    stream.write(Buffer.from([0, 0, 0x0f, 0xff, 0xff]));
    const megabyte = Buffer.alloc(1024 * 1024);
    let sent = 0;
    while (!stream.destroyed && !stream.closed && sent < 2_048) {
      sent++;
      if (!stream.write(megabyte))
        await new Promise<void>((resolve) => {
          stream.once('drain', resolve);
          stream.once('close', resolve);
        });
    }
    expect(await ended).toBe(status.exhausted);
    expect(sent).toBeLessThan(20);
    expect((await house.gatekeeper.health()).memoryMegabytes - before).toBeLessThan(60);
  });

  test('a gzip bomb is unpacked to one megabyte at most', async () => {
    const before = (await house.gatekeeper.health()).memoryMegabytes;
    const bomb = gzipSync(Buffer.alloc(500 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(1024 * 1024);
    expect(await poll(framed(bomb, 1), { 'grpc-encoding': 'gzip' })).toMatchObject({
      status: status.exhausted,
    });
    expect((await house.gatekeeper.health()).memoryMegabytes - before).toBeLessThan(50);
  });

  test('what is not packed as it says, in another way, or not at all a message', async () => {
    const plain = pollOf(runner.runner).subarray(5);
    for (const [body, headers] of [
      [framed(Buffer.from('no gzip'), 1), { 'grpc-encoding': 'gzip' }],
      [framed(gzipSync(plain), 1), { 'grpc-encoding': 'br' }],
      [framed(gzipSync(plain), 1), {}],
      [framed(gzipSync(plain), 7), { 'grpc-encoding': 'gzip' }],
      [new Uint8Array(0), {}],
      [framed(plain).subarray(0, 20), {}],
      [Buffer.concat([framed(plain), framed(plain)]), {}],
    ] as const)
      expect([status.invalid, status.exhausted]).toContain((await poll(body, headers)).status);
    expect((await poll(framed(plain), { 'content-type': 'application/json' })).status).toBe(status.invalid);
  });

  test('a field that comes twice, which two parsers may read differently', async () => {
    const own = pollOf(runner.runner).subarray(5);
    const others = pollOf(alice.runner).subarray(5);
    for (const twice of [
      Buffer.concat([own, others]),
      Buffer.concat([others, own]),
      Buffer.concat([own, own]),
    ])
      expect(await poll(framed(twice))).toMatchObject({
        status: status.invalid,
        message: expect.stringContaining('more than 1 times'),
      });
    // Inside the task queue as well.
    const queue = Buffer.concat([name(`runner/${alice.runner}`), name(`runner/${runner.runner}`)]);
    const request = Buffer.concat([name('default'), Buffer.from([0x12, queue.length]), queue]);
    expect(await poll(framed(request))).toMatchObject({ status: status.invalid });
  });

  test('groups, lengths and numbers that lie, text that is none', async () => {
    for (const bytes of [
      [0x0b, 0x0c],
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x01],
      [0x0a, 0x05, 0x61],
      [0x00, 0x00],
      [0x0f],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
      [0x0a, 0x02, 0xc3, 0x28],
      [0x10, 0x01],
    ])
      expect(await poll(framed(Uint8Array.from(bytes)))).toMatchObject({ status: status.invalid });
  });

  test('fields that no runner needs do not reach Temporal', async () => {
    const asked = await house.ask(runner);
    // A limit of one task in 100,000 seconds, a version nobody serves, a control queue: all of it is left out.
    const body = pollOf(runner.runner, {
      taskQueueMetadata: { maxTasksPerSecond: { value: 0.00001 } },
      workerVersionCapabilities: { buildId: 'other', useVersioning: true },
      workerControlTaskQueue: 'coordinator',
    });
    const reply = await send(session, 'PollActivityTaskQueue', body);
    expect(api.PollActivityTaskQueueResponse.decode(reply.body).taskToken.length).toBeGreaterThan(32);
    await asked.terminate();
  });

  test('payloads in the clear, in answers, heartbeats and failures', async () => {
    const asked = await house.ask(runner);
    const task = await takeTask(session, runner.runner);
    const { taskToken } = task;
    const open = { payloads: [defaultPayloadConverter.toPayload({ forged: true })] };
    const sealed = await answerTo(task, runner, {});
    const twice = { payloads: [...(sealed.payloads ?? []), ...open.payloads] };
    const failure = (change: temporal.api.failure.v1.IFailure) =>
      framed(
        api.RespondActivityTaskFailedRequest.encode({
          namespace: 'default',
          taskToken,
          failure: { message: 'no', ...change },
        }).finish(),
      );
    const attempts: [string, Uint8Array][] = [
      ['RespondActivityTaskCompleted', completion({ taskToken, result: open })],
      ['RespondActivityTaskCompleted', completion({ taskToken, result: twice })],
      ['RespondActivityTaskCanceled', completion({ taskToken, result: open })],
      ['RecordActivityTaskHeartbeat', completion({ taskToken, result: open })],
      ['RespondActivityTaskFailed', failure({ applicationFailureInfo: { details: open } })],
      ['RespondActivityTaskFailed', failure({ canceledFailureInfo: { details: open } })],
      ['RespondActivityTaskFailed', failure({ encodedAttributes: open.payloads[0] ?? null })],
      ['RespondActivityTaskFailed', failure({ cause: { applicationFailureInfo: { details: open } } })],
    ];
    for (const [method, body] of attempts)
      expect(await send(session, method, body)).toMatchObject({
        status: status.invalid,
        message: 'a payload is not encrypted',
      });
    await asked.terminate();
  });

  test('a failure with causes without end, which would stop every reader of the history', async () => {
    const asked = await house.ask(runner);
    const { taskToken } = await takeTask(session, runner.runner);
    let failure: Uint8Array = Buffer.from([0x0a, 1, 0x78]);
    for (let depth = 0; depth < 200; depth++) failure = field(0x22, failure);
    const head = api.RespondActivityTaskFailedRequest.encode({ namespace: 'default', taskToken }).finish();
    const deep = framed(Buffer.concat([head, field(0x12, failure)]));
    expect(await send(session, 'RespondActivityTaskFailed', deep)).toMatchObject({
      status: status.invalid,
      message: 'messages lie more than 12 deep in each other',
    });
    const fail = (failure: temporal.api.failure.v1.IFailure) =>
      send(
        session,
        'RespondActivityTaskFailed',
        framed(
          api.RespondActivityTaskFailedRequest.encode({ namespace: 'default', taskToken, failure }).finish(),
        ),
      );
    // Of a time-out, only the server tells; of an end that is none, nobody.
    const forged = { message: 'x', timeoutFailureInfo: { timeoutType: 1 }, stackTrace: '/home/somebody' };
    expect((await fail(forged)).status).toBe(status.ok);
    const { pendingActivities } = await house.temporal.connection.workflowService.describeWorkflowExecution({
      namespace: 'default',
      execution: { workflowId: (await pendingWorkflow(runner)) ?? '' },
    });
    const last = pendingActivities?.[0]?.lastFailure;
    expect(last?.timeoutFailureInfo ?? null).toBeNull();
    expect(last?.stackTrace ?? '').toBe('');
    await asked.terminate();
  });

  test('more calls a second than a runner needs', async () => {
    const codes: (number | null)[] = [];
    const oneAfterAnother = async () => {
      for (let call = 0; call < 20; call++)
        codes.push((await send(session, 'GetSystemInfo', framed(new Uint8Array(0)))).status);
    };
    await Promise.all(Array.from({ length: 12 }, oneAfterAnother));
    expect(codes.filter((code) => code === status.ok).length).toBeGreaterThanOrEqual(150);
    expect(codes.filter((code) => code === status.exhausted).length).toBeGreaterThan(0);
    // Others are not held up by it.
    expect((await send(honest, 'GetSystemInfo', framed(new Uint8Array(0)))).status).toBe(status.ok);
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

async function pendingWorkflow({ runner }: TestRunner): Promise<string | undefined> {
  const { workflowService } = house.temporal.connection;
  const { executions } = await workflowService.listWorkflowExecutions({
    namespace: 'default',
    query: 'ExecutionStatus = "Running"',
  });
  for (const { execution } of executions ?? []) {
    const { pendingActivities } = await workflowService.describeWorkflowExecution({
      namespace: 'default',
      execution: execution ?? null,
    });
    if (pendingActivities?.some(({ activityId }) => activityId === `train/${runner}`))
      return execution?.workflowId ?? undefined;
  }
  return undefined;
}

/** Fields by hand: Protocol Buffers' own writer does neither repeat them nor go deeper than 100. */
const name = (text: string): Uint8Array =>
  Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text)]);

function field(tag: number, bytes: Uint8Array): Uint8Array {
  const [low, middle, high] = [bytes.length & 0x7f, (bytes.length >> 7) & 0x7f, bytes.length >> 14];
  return Buffer.concat([Buffer.from([tag, low | 0x80, middle | 0x80, high]), bytes]);
}
