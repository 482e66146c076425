import type { ClientHttp2Session } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
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
const status = { ok: 0, invalid: 3, exhausted: 8 };

let house: TestHouse;
let alice: TestRunner;
let honest: ClientHttp2Session;
/** A session of a runner of its own for each test: too many refusals end one. */
let session: ClientHttp2Session;
let runner: TestRunner;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  house = await openHouse();
  alice = await house.guest();
});
beforeEach(async () => {
  sessions.splice(0).forEach(hangUp);
  runner = await house.guest();
  session = knock(house.gatekeeper, runner);
  honest = knock(house.gatekeeper, alice);
  sessions.push(session, honest);
});
afterAll(async () => {
  sessions.forEach(hangUp);
  await house.close();
});

const answerTo = (task: Awaited<ReturnType<typeof takeTask>>, runner: TestRunner, value: unknown) =>
  resultOf(task, runner, house.gatekeeper.member.publicKey, value);

const poll = (body: Uint8Array, headers = {}) => send(session, 'PollActivityTaskQueue', body, headers);

describe('messages that are meant to break something', () => {
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
    const forged = {
      message: 'x',
      applicationFailureInfo: { type: 'X', nextRetryDelay: { seconds: 3_600 as never } },
      cause: { message: 'x', timeoutFailureInfo: { timeoutType: 1 } },
      stackTrace: '/home/somebody',
    };
    expect((await fail(forged)).status).toBe(status.ok);
    const { pendingActivities } = await house.temporal.connection.workflowService.describeWorkflowExecution({
      namespace: 'default',
      execution: { workflowId: (await pendingWorkflow(runner)) ?? '' },
    });
    const last = pendingActivities?.[0]?.lastFailure;
    expect(last?.cause?.message).toBe('x');
    expect(last?.cause?.timeoutFailureInfo ?? null).toBeNull();
    expect(last?.applicationFailureInfo?.nextRetryDelay ?? null).toBeNull();
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
