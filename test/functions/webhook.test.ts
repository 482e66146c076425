import { DeleteMessageBatchCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hashJson } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import { openLog, type Logger } from '#services/log.js';
import { noTelemetry } from '#services/telemetry/telemetry.js';
import { limitSettings, openLimits } from '#functions/limits.js';
import { webhookApp } from '#functions/webhook/app.js';
import { openSqs } from '#local/events/queues.js';
import { openQueue } from '#services/queue.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { startStores, type Stores } from '../services/realParts.js';
import { coordinator, exampleJob, exampleTrigger } from '../services/views.js';
import { githubHeaders, githubSecret, pushBody, standardHeaders, standardSecret } from './webhooks.js';

let stores: Stores;
let table: Table;
let sqs: SQSClient;
let app: ReturnType<typeof webhookApp>;
let log: Logger;

beforeAll(async () => {
  stores = await startStores(['dynamodb', 'sqs']);
  log = openLog('test');
  const name = String(process.env['TABLE_NAME']);
  await ensureTable({ table: name });
  table = openTable({ table: name });
  sqs = openSqs();
  app = openApp();
  await table.createTrigger(exampleTrigger({ name: 'pushes', refs: ['refs/heads/main'] }), [githubSecret]);
  await table.createTrigger(exampleTrigger({ name: 'calls', kind: 'standard', events: [] }), [
    standardSecret,
    `whsec_${Buffer.from('f'.repeat(32)).toString('base64')}`,
  ]);
});
afterAll(async () => {
  sqs.destroy();
  await stores.stop();
});
beforeEach(async () => {
  await rung();
});

const post = async (
  trigger: string,
  headers: Record<string, string>,
  body: string | ReadableStream<Uint8Array>,
) => {
  const init = { method: 'POST', headers, body, duplex: 'half' } as const;
  return app.request(new Request(`http://stack.example/webhooks/${trigger}`, init));
};
const push = (body = pushBody(), options: Parameters<typeof githubHeaders>[1] = {}) =>
  post('pushes', githubHeaders(body, options), body);
const problemOf = async (answer: Response) => ({
  ...((await answer.json()) as { code: string; detail: string; status: number }),
  http: answer.status,
});

/** Takes all messages from the queue. */
async function rung(): Promise<string[]> {
  const jobs: string[] = [];
  for (;;) {
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: stores.jobsQueue, MaxNumberOfMessages: 10 }),
    );
    if (!Messages?.length) return jobs;
    jobs.push(...Messages.map(({ Body }) => (JSON.parse(String(Body)) as { job: string }).job));
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: stores.jobsQueue, Entries }));
  }
}

describe('a signed push', () => {
  test('becomes a queued job with the trigger’s spec, and rings once', async () => {
    const body = pushBody({
      after: 'first',
      spec: { rounds: 99_999 },
      model: 'https://evil.example/model.onnx',
    });
    const answer = await push(body);
    expect(answer.status).toBe(202);
    const job: Hex = hashJson(sha256, ['github', 'pushes', sha256Hex(Buffer.from(body))]);
    expect(await answer.json()).toEqual({ job, repeated: false });
    const row = await table.getJob(job);
    expect(row).toEqual(
      exampleJob({
        job,
        trigger: 'pushes',
        delivery: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
        coordinator,
        createdAt: String(row?.createdAt),
        updatedAt: String(row?.updatedAt),
      }),
    );
    expect(await rung()).toEqual([job]);
  });

  test('is the same job when delivered again, and rings again only while it is queued', async () => {
    const body = pushBody({ after: 'repeated' });
    const { job } = (await (await push(body)).json()) as { job: `0x${string}` };
    const again = await push(body, { delivery: 'a-new-delivery-id' });
    expect(await again.json()).toEqual({ job, repeated: true });
    expect(await rung()).toEqual([job, job]);
    await table.projectJob({ ...exampleJob({ job }), seq: 1, state: 'running' });
    expect(await (await push(body)).json()).toEqual({ job, repeated: true });
    expect(await rung()).toEqual([]);
    expect((await table.getJob(job))?.state).toBe('running');
  });

  test('is one job when fifty deliveries come at once', async () => {
    const body = pushBody({ after: 'fifty' });
    const answers = await Promise.all(Array.from({ length: 50 }, () => push(body)));
    const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as {
      job: string;
      repeated: boolean;
    }[];
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 202));
    expect(new Set(bodies.map(({ job }) => job)).size).toBe(1);
    expect(bodies.filter(({ repeated }) => !repeated)).toHaveLength(1);
    expect((await table.listJobs()).filter(({ job }) => job === bodies[0]?.job)).toHaveLength(1);
  });

  test('may come as a form', async () => {
    const body = new URLSearchParams({ payload: pushBody({ after: 'form' }) }).toString();
    const headers = { ...githubHeaders(body), 'content-type': 'application/x-www-form-urlencoded' };
    expect((await post('pushes', headers, body)).status).toBe(202);
  });

  test('is kept when the queue is down', async () => {
    const body = pushBody({ after: 'no queue' });
    const answer = await without('SQS', () => push(body));
    expect(answer.status).toBe(202);
    const { job } = (await answer.json()) as { job: `0x${string}` };
    expect((await table.getJob(job))?.state).toBe('queued');
    expect(await rung()).toEqual([]);
  });
});

test('a trigger that was stopped starts nothing, whatever its secret was', async () => {
  await table.createTrigger(exampleTrigger({ name: 'stopped' }), []);
  const body = pushBody();
  const problem = await problemOf(await post('stopped', githubHeaders(body), body));
  expect(problem).toMatchObject({ http: 401, code: 'BAD_SIGNATURE' });
  expect(await rung()).toEqual([]);
});

describe('an authentic delivery that starts nothing', () => {
  test.each([
    ['a ping', { event: 'ping' }, JSON.stringify({ zen: 'Keep it logically awesome.' }), /^ping$/],
    ['another event', { event: 'issues' }, '{}', /^event issues;/],
    ['another ref', {}, pushBody({ ref: 'refs/heads/topic' }), /^ref refs\/heads\/topic;/],
  ])('%s is acknowledged', async (_, options, body, reason) => {
    const answer = await push(body, options);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ ignored: expect.stringMatching(reason) });
    expect(await rung()).toEqual([]);
  });
});

const count = async () => (await table.listJobs()).length;

describe('a delivery is refused', () => {
  test.each<[string, string, () => Promise<Response>]>([
    ['NOT_SIGNED', 'without a signature', () => post('pushes', { 'x-github-event': 'push' }, pushBody())],
    [
      'NOT_SIGNED',
      'with a signature of SHA-1',
      () => post('pushes', { 'x-hub-signature': `sha1=${'0'.repeat(40)}` }, pushBody()),
    ],
    ['BAD_SIGNATURE', 'with the wrong secret', () => push(pushBody(), { secret: 'guessed' })],
    [
      'BAD_SIGNATURE',
      'with another body',
      () => post('pushes', githubHeaders(pushBody()), pushBody({ after: 'x' })),
    ],
    ['NOT_SIGNED', 'signed for another kind of sender', () => post('calls', githubHeaders('{}'), '{}')],
    ['UNKNOWN_TRIGGER', 'for an unknown trigger', () => post('nothing', githubHeaders('{}'), '{}')],
    [
      'UNKNOWN_TRIGGER',
      'for a name that can be none',
      () => post('No%2F..%2Fname', standardHeaders('{}'), '{}'),
    ],
    ['INVALID_INPUT', 'when an authentic body is not JSON', () => push('{"ref": ')],
    ['INVALID_INPUT', 'when an authentic push has no ref', () => push('{"zen": "Design for failure."}')],
    [
      'TOO_OLD',
      'when it was signed too long ago',
      () => post('calls', standardHeaders('{}', { timestamp: Math.floor(Date.now() / 1_000) - 301 }), '{}'),
    ],
    ['NOT_FOUND', 'at another path', async () => app.request('/webhooks', { method: 'POST' })],
  ])('%s %s', async (code, _, send) => {
    const before = await count();
    const problem = await problemOf(await send());
    expect(problem).toMatchObject({ code, status: problem.http });
    expect(await count()).toBe(before);
    expect(await rung()).toEqual([]);
  });

  test.each([
    ['that says how long it is', {}],
    ['that claims to be short', { 'content-length': '10' }],
  ])('PAYLOAD_TOO_LARGE for a body over a mebibyte %s', async (_, claim) => {
    const body = 'x'.repeat(1024 * 1024 + 1);
    const answer = await post('pushes', { ...githubHeaders(body), ...claim }, body);
    expect(await problemOf(answer)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', http: 413 });
  });

  test('PAYLOAD_TOO_LARGE for an endless body, which is not read to its end', async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const answer = await post('pushes', githubHeaders(''), endless);
    expect(await problemOf(answer)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(sent).toBeLessThan(4 * 1024 * 1024);
  });

  test('a body of exactly a mebibyte is read', async () => {
    const filler = 'x'.repeat(1024 * 1024 - pushBody({ filler: '' }).length);
    const body = pushBody({ filler });
    expect(Buffer.byteLength(body)).toBe(1024 * 1024);
    expect((await push(body)).status).toBe(202);
  });

  test('UNAVAILABLE, to be tried again, while the table is down', async () => {
    const answer = await without('DYNAMODB', () => push());
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(await problemOf(answer)).toMatchObject({ code: 'UNAVAILABLE', http: 503 });
  });
});

const call = async (id: string, body: string, timestamp?: number) => {
  const answer = await post(
    'calls',
    standardHeaders(body, { id, ...(timestamp ? { timestamp } : {}) }),
    body,
  );
  return (await answer.json()) as { job: string; repeated: boolean };
};

describe('a Standard Webhooks call', () => {
  test('is one job for each webhook-id, whatever its body and time', async () => {
    const first = await call('msg_a', '{"type":"data.ready"}');
    expect(first).toEqual({ job: hashJson(sha256, ['standard', 'calls', 'msg_a']), repeated: false });
    const retried = await call(
      'msg_a',
      '{"type":"data.ready","attempt":2}',
      Math.floor(Date.now() / 1_000) - 60,
    );
    expect(retried).toEqual({ job: first.job, repeated: true });
    expect((await call('msg_b', '{"type":"data.ready"}')).job).not.toBe(first.job);
  });
});

/** Runs something with new clients that find nobody at that service. */
async function without<T>(service: 'SQS' | 'DYNAMODB', run: () => Promise<T>): Promise<T> {
  const usual = app;
  const name = `AWS_ENDPOINT_URL_${service}`;
  const endpoint = process.env[name];
  process.env[name] = `http://127.0.0.1:${stores.ports.api}`;
  app = openApp();
  try {
    return await run();
  } finally {
    process.env[name] = endpoint;
    app = usual;
  }
}

function openApp(): ReturnType<typeof webhookApp> {
  const services = {
    table: openTable({ table: String(process.env['TABLE_NAME']) }),
    queue: openQueue({ url: stores.jobsQueue }),
  };
  const limits = openLimits(services.table, limitSettings.parse({}));
  return webhookApp({ ...services, coordinator, limits, log, telemetry: noTelemetry });
}
