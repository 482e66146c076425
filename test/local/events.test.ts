import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSEvent, ScheduledEvent } from 'aws-lambda';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sqsPart } from '#local/emulators/sqs.js';
import { awsEnvironment } from '#local/environment.js';
import { eventsPart } from '#local/events/part.js';
import { openSqs } from '#local/events/queues.js';
import { processed } from '#local/events/sqsEvent.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { until } from '../support/until.js';

/** Writes down every call, then does what the bodies ask for. */
const recorder = `
import { appendFileSync } from 'node:fs';
const loaded = Math.random();
export async function handler(event, context) {
  const remaining = context.getRemainingTimeInMillis();
  appendFileSync(process.env.RECORD, JSON.stringify({ event, name: context.functionName, remaining, loaded }) + '\\n');
  const bodies = (event.Records ?? []).map((record) => record.body);
  if (bodies.includes('throw')) throw new Error('as asked');
  if (bodies.some((body) => body.startsWith('hang'))) await new Promise((resolve) => setTimeout(resolve, 3000));
  const failed = event.Records?.filter((record) => record.body.startsWith('fail')) ?? [];
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: record.messageId })) };
}`;

interface Call<Event> {
  event: Event;
  name: string;
  remaining: number;
  loaded: number;
}

let folder = '';
let supervisor: Supervisor;
let sqs: SQSClient;
const before = { ...process.env };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-test-'));
  for (const name of ['recorder', 'clock']) writeFileSync(join(folder, `${name}.mjs`), recorder);
  supervisor = await Supervisor.open(folder);
  const { ports } = await supervisor.choosePorts({ sqs: null });
  const aws = awsEnvironment({ dynamodb: 0, s3: 0, sqs: ports.sqs });
  Object.assign(process.env, aws);
  sqs = openSqs();
  const common = { function: 'recorder', maxReceiveCount: 2, timeoutSeconds: 1 };
  await supervisor.start(
    sqsPart({ port: ports.sqs }),
    eventsPart({
      sources: {
        sources: [
          { ...common, queue: 'jobs', deadLetter: 'jobs-dead' },
          { ...common, queue: 'slow', deadLetter: 'slow-dead', timeoutSeconds: 4, windowSeconds: 1.5 },
        ],
        schedules: [{ function: 'clock', everySeconds: 0.5 }],
      },
      functionsFolder: folder,
      env: { ...aws, RECORD: join(folder, 'calls') },
      after: ['sqs'],
    }),
  );
});

afterAll(async () => {
  await supervisor.stopAll();
  sqs.destroy();
  process.env = before;
  rmSync(folder, { recursive: true });
});

const calls = <Event>(): Call<Event>[] =>
  existsSync(join(folder, 'calls'))
    ? readFileSync(join(folder, 'calls'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Call<Event>)
    : [];

const ticks = () => calls<ScheduledEvent>().filter(({ name }) => name === 'clock');

/** Calls for messages with this body; each with its record of it. */
const callsFor = (body: string) =>
  calls<SQSEvent>().flatMap((call) => {
    const record = call.event.Records?.find((each) => each.body === body);
    return record === undefined ? [] : [{ ...call, record }];
  });

async function send(queue: string, body: string, attributes?: Record<string, string>): Promise<string> {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: queue }));
  const MessageAttributes = Object.fromEntries(
    Object.entries(attributes ?? {}).map(([name, StringValue]) => [
      name,
      { DataType: 'String', StringValue },
    ]),
  );
  const { MessageId } = await sqs.send(
    new SendMessageCommand({ QueueUrl, MessageBody: body, MessageAttributes }),
  );
  return MessageId ?? '';
}

/** Messages that were given to somebody who has not deleted them yet. */
async function inWork(queue: string): Promise<number> {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: queue }));
  const AttributeNames = ['ApproximateNumberOfMessagesNotVisible'] as const;
  const answer = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
  );
  return Number(answer.Attributes?.[AttributeNames[0]]);
}

async function receiveOne(queue: string): Promise<string | undefined> {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: queue }));
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
  return Messages?.[0]?.Body;
}

async function killPart(name: string): Promise<void> {
  const part = () => supervisor.status().find((status) => status.name === name);
  const restarts = part()?.restarts ?? 0;
  process.kill(part()?.pid ?? 0, 'SIGKILL');
  await until(() => part()?.restarts === restarts + 1 && part()?.state === 'ready', `${name} is back`);
}

describe('a message', () => {
  test("reaches the handler in the shape of Lambda's SQS event, and is deleted", async () => {
    const id = await send('jobs', 'good', { trace: 'abc' });
    const [call] = await until(
      () => callsFor('good').length > 0 && callsFor('good'),
      'the handler was called',
    );
    expect(call).toMatchObject({ name: 'recorder', event: { Records: [expect.anything()] } });
    expect(call?.remaining).toBeGreaterThan(500);
    expect(call?.record).toEqual({
      messageId: id,
      receiptHandle: expect.any(String),
      body: 'good',
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: expect.stringMatching(/^\d{13}$/),
        SenderId: expect.any(String),
        ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
      },
      messageAttributes: {
        trace: { stringValue: 'abc', dataType: 'String', stringListValues: [], binaryListValues: [] },
      },
      md5OfBody: '755f85c2723bb39381c7379a604160d8',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:jobs',
      awsRegion: 'us-east-1',
    });
  });

  test('sent twice is handled twice: handlers see duplicates as they are', async () => {
    await send('jobs', 'twin');
    await send('jobs', 'twin');
    const records = await until(() => {
      const twins = calls<SQSEvent>()
        .flatMap(({ event }) => event.Records ?? [])
        .filter(({ body }) => body === 'twin');
      return twins.length === 2 && twins;
    }, 'both came');
    expect(new Set(records.map(({ messageId }) => messageId)).size).toBe(2);
  });

  test('that the handler names as failed comes again, alone, and then goes to the dead-letter queue', async () => {
    await Promise.all(['fine 1', 'fail 1', 'fine 2'].map((body) => send('jobs', body)));
    expect(await until(() => receiveOne('jobs-dead'), 'the message is dead')).toBe('fail 1');
    expect(callsFor('fail 1').map(({ record }) => record.attributes.ApproximateReceiveCount)).toEqual([
      '1',
      '2',
    ]);
    expect(callsFor('fine 1')).toHaveLength(1);
    expect(callsFor('fine 2')).toHaveLength(1);
  });

  test('goes to the dead-letter queue when the handler throws each time', async () => {
    await send('jobs', 'throw');
    expect(await until(() => receiveOne('jobs-dead'), 'the message is dead')).toBe('throw');
    expect(callsFor('throw')).toHaveLength(2);
  });

  test("is given out again when the handler's time is up", async () => {
    await send('jobs', 'hang');
    await until(() => callsFor('hang').length === 2, 'the handler was called again');
    expect(await until(() => receiveOne('jobs-dead'), 'the message is dead')).toBe('hang');
  });

  test('waits for others within the window of its queue', async () => {
    await send('slow', 'first');
    await until(async () => (await inWork('slow')) === 1, 'the first was received');
    await send('slow', 'second');
    const [call] = await until(
      () => callsFor('second').length > 0 && callsFor('second'),
      'both were handled',
    );
    expect(call?.event.Records.map(({ body }) => body)).toEqual(['first', 'second']);
  });
});

describe('a full batch', () => {
  test('says that more waits: the next is worked on beside it, by an instance of its own that is kept', async () => {
    const bodies = Array.from({ length: 10 }, (_, index) => `hang ${index} of ten`);
    await Promise.all(bodies.map((body) => send('slow', body)));
    await until(() => bodies.every((body) => callsFor(body).length === 1), 'the batch is in work');
    await send('slow', 'beside it');
    const [beside] = await until(
      () => callsFor('beside it').length > 0 && callsFor('beside it'),
      'the other was handled',
    );
    expect(await inWork('slow')).toBeGreaterThanOrEqual(10);
    const hanging = new Set(bodies.flatMap((body) => callsFor(body).map(({ loaded }) => loaded)));
    expect(hanging.size).toBe(1);
    expect(hanging).not.toContain(beside?.loaded);
    await until(async () => (await inWork('slow')) === 0, 'all is done');
    await send('slow', 'afterwards');
    const [after] = await until(
      () => callsFor('afterwards').length > 0 && callsFor('afterwards'),
      'it was handled',
    );
    expect([...hanging, beside?.loaded]).toContain(after?.loaded);
  });
});

describe('a kill', () => {
  test('of SQS: the queues are made again and messages flow', async () => {
    await killPart('sqs');
    await until(() => send('jobs', 'after the kill').catch(() => undefined), 'the queue is back');
    await until(() => callsFor('after the kill').length === 1, 'the handler was called');
  });

  test('of the poller while a handler runs: the message is handled again', async () => {
    await send('jobs', 'hang through a kill');
    await until(() => callsFor('hang through a kill').length === 1, 'the handler runs');
    await killPart('events');
    await until(() => callsFor('hang through a kill').length === 2, 'the message came again');
  });
});

describe('a schedule', () => {
  test('calls its handler again and again with an EventBridge event; its module is loaded once', async () => {
    const before = ticks().length;
    const seen = await until(() => ticks().length >= before + 3 && ticks().slice(before), 'three more calls');
    expect(seen[0]?.event).toMatchObject({
      version: '0',
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account: '000000000000',
      region: 'us-east-1',
      detail: {},
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    expect(new Set(seen.map(({ loaded }) => loaded)).size).toBe(1);
  });
});

describe('the answer of a handler', () => {
  const messages = ['a', 'b', 'c'].map((MessageId) => ({ MessageId }));
  const done = (answer: unknown) => processed(messages, answer).map(({ MessageId }) => MessageId);

  test.each([
    ['nothing', undefined, ['a', 'b', 'c']],
    ['null', null, ['a', 'b', 'c']],
    ['no failures', { batchItemFailures: [] }, ['a', 'b', 'c']],
    ['null failures', { batchItemFailures: null }, ['a', 'b', 'c']],
    ['one failure', { batchItemFailures: [{ itemIdentifier: 'b' }] }, ['a', 'c']],
    ['a failure that is none of the batch', { batchItemFailures: [{ itemIdentifier: 'z' }] }, []],
    ['a failure without a name', { batchItemFailures: [{ itemIdentifier: '' }] }, []],
    ['failures that are no list', { batchItemFailures: 'b' }, []],
  ])('%s', (_, answer, expected) => {
    expect(done(answer)).toEqual(expected);
  });
});
