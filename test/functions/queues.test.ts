import { PurgeQueueCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Hex } from '#core/hex.js';
import { settlementWorkflowId } from '#core/names.js';
import { openTemporal } from '#functions/temporal.js';
import { openSqs } from '#local/events/queues.js';
import { findTemporal } from '#local/temporal/find.js';
import { temporalPart } from '#local/temporal/part.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { startPart, startStores, type StartedPart, type Stores } from '../services/realParts.js';
import { addressOf, coordinator, exampleJob, hashOf, timeOf } from '../services/views.js';

type BatchHandler = (event: SQSEvent) => Promise<SQSBatchResponse>;

let stores: Stores;
let table: Table;
let server: StartedPart;
let client: Client;
let dispatch: BatchHandler;
let reward: BatchHandler;
let settle: () => Promise<void>;
let sweep: () => Promise<void>;

beforeAll(async () => {
  stores = await startStores(['dynamodb', 'sqs']);
  server = await startTemporal();
  await ensureTable({ table: String(process.env['TABLE_NAME']) });
  table = openTable({ table: String(process.env['TABLE_NAME']) });
  Object.assign(process.env, {
    ...stores.queueUrls,
    TEMPORAL_ADDRESS: `127.0.0.1:${stores.ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    COORDINATOR_ADDRESS: coordinator,
  });
  ({ handler: dispatch } = await import('#functions/dispatch/handler.js'));
  ({ handler: reward } = await import('#functions/reward/handler.js'));
  ({ handler: settle } = await import('#functions/settle/handler.js'));
  ({ handler: sweep } = await import('#functions/sweep/handler.js'));
  client = await connect();
}, 300_000);
afterAll(async () => {
  await client.connection.close();
  await server.kill();
  await stores.stop();
});

async function startTemporal(): Promise<StartedPart> {
  const { path } = await findTemporal();
  const { temporal, http } = stores.ports;
  return startPart(
    temporalPart({ binary: path, port: temporal, httpPort: http, uiPort: null, stateDir: stores.folder }),
  );
}

async function connect(): Promise<Client> {
  return new Client({
    connection: await Connection.connect({ address: String(process.env['TEMPORAL_ADDRESS']) }),
  });
}

/** What SQS hands to a Lambda. */
function batch(...bodies: unknown[]): SQSEvent {
  return {
    Records: bodies.map((body, index) => ({
      messageId: `message-${index}`,
      receiptHandle: `receipt-${index}`,
      body: typeof body === 'string' ? body : JSON.stringify(body),
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: '1793491200000',
        SenderId: '000000000000',
        ApproximateFirstReceiveTimestamp: '1793491200000',
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:roundtable-jobs',
      awsRegion: 'us-east-1',
    })),
  };
}

const failed = ({ batchItemFailures }: SQSBatchResponse) =>
  batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
const ring = (job: Hex) => ({ type: 'job', job });

async function queued(name: string): Promise<Hex> {
  const job = hashOf(name);
  await table.createJob(exampleJob({ job, createdAt: timeOf(0) }));
  return job;
}

const deadJobs = () => openDeadLetters({ queue: stores.jobsQueue, dead: stores.deadJobsQueue });

async function empty(): Promise<void> {
  const sqs = openSqs();
  await sqs.send(new PurgeQueueCommand({ QueueUrl: stores.deadJobsQueue }));
  sqs.destroy();
}

describe('dispatch', () => {
  test('starts the job’s workflow under the job’s id', async () => {
    const job = await queued('dispatched');
    expect(await dispatch(batch(ring(job)))).toEqual({ batchItemFailures: [] });
    const workflow = await client.workflow.getHandle(job).describe();
    expect(workflow).toMatchObject({
      type: 'trainingJob',
      taskQueue: 'coordinator',
      status: { name: 'RUNNING' },
    });
  });

  test('starts it once, however often and concurrently the bell rings', async () => {
    const job = await queued('rung often');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => dispatch(batch(ring(job), ring(job)))),
    );
    expect(answers.flatMap(failed)).toEqual([]);
    const { runId } = await client.workflow.getHandle(job).describe();
    await dispatch(batch(ring(job)));
    expect((await client.workflow.getHandle(job).describe()).runId).toBe(runId);
    const events = await client.workflow.getHandle(job).fetchHistory();
    expect(
      events.events?.filter(
        ({ workflowExecutionStartedEventAttributes }) => workflowExecutionStartedEventAttributes,
      ),
    ).toHaveLength(1);
  });

  test('does not start an ended one again, even while the row still says queued', async () => {
    const job = await queued('ended');
    await dispatch(batch(ring(job)));
    const handle = client.workflow.getHandle(job);
    const { runId } = await handle.describe();
    await handle.terminate();
    expect(failed(await dispatch(batch(ring(job))))).toEqual([]);
    expect(await client.workflow.getHandle(job).describe()).toMatchObject({
      runId,
      status: { name: 'TERMINATED' },
    });
  });

  test('leaves jobs alone that are queued no longer', async () => {
    const job = await queued('cancelled');
    await table.projectJob({ ...exampleJob({ job }), seq: 1, state: 'cancelled' });
    expect(failed(await dispatch(batch(ring(job))))).toEqual([]);
    await expect(client.workflow.getHandle(job).describe()).rejects.toThrow(/not found/i);
  });

  test('reports what may succeed later, and lays aside what never will, with the reason', async () => {
    const job = await queued('among bad ones');
    const messages = [ring(hashOf('no such row')), 'not JSON', ring(job), { type: 'job', job, more: 1 }];
    expect(failed(await dispatch(batch(...messages)))).toEqual(['message-0']);
    expect((await client.workflow.getHandle(job).describe()).status.name).toBe('RUNNING');
    const { dead, letters } = await deadJobs().look();
    expect(dead).toBe(2);
    expect(letters.map(({ message, code, deliveries }) => [message, code, deliveries])).toEqual(
      expect.arrayContaining([
        ['not JSON', 'INVALID_INPUT', 1],
        [JSON.stringify({ type: 'job', job, more: 1 }), 'INVALID_INPUT', 1],
      ]),
    );
    await empty();
  });

  test('lays a message aside at its last delivery, and redriven it is handled', async () => {
    const job = hashOf('its row comes late');
    const event = batch(ring(job));
    for (const record of event.Records) record.attributes.ApproximateReceiveCount = '5';
    expect(failed(await dispatch(event))).toEqual([]);
    const { letters } = await deadJobs().look();
    expect(letters).toMatchObject([
      { code: 'NOT_FOUND', deliveries: 5, reason: expect.stringContaining(`names job ${job}`) },
    ]);
    // Looking took nothing away.
    expect((await deadJobs().look()).letters).toEqual(letters);

    await queued('its row comes late');
    expect(await deadJobs().redrive(10)).toBe(1);
    expect(await deadJobs().redrive(10)).toBe(0);
    expect(await deadJobs().look()).toMatchObject({ waiting: 1, dead: 0, letters: [] });
    const [bell] = await bells();
    expect(bell).toBe(job);
    expect(failed(await dispatch(batch(ring(job))))).toEqual([]);
    expect((await client.workflow.getHandle(job).describe()).status.name).toBe('RUNNING');
  });

  test('what SQS laid aside by itself says that no reason is known', async () => {
    const sqs = openSqs();
    await sqs.send(new SendMessageCommand({ QueueUrl: stores.deadJobsQueue, MessageBody: 'killed' }));
    sqs.destroy();
    expect((await deadJobs().look()).letters).toMatchObject([
      { message: 'killed', code: null, deliveries: null, reason: expect.stringContaining('ran out of time') },
    ]);
    await empty();
  });

  test('a signal reaches a job that was not dispatched yet, and starts it', async () => {
    const job = await queued('signalled');
    const temporal = openTemporal(() =>
      Promise.resolve({
        address: String(process.env['TEMPORAL_ADDRESS']),
        namespace: 'default',
        credentials: null,
      }),
    );
    await temporal.signalJob(job, 'pause');
    await dispatch(batch(ring(job)));
    const handle = client.workflow.getHandle(job);
    const { events } = await handle.fetchHistory();
    const names = events?.map(({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName);
    expect(names?.filter(Boolean)).toEqual(['pause']);
    await handle.terminate();
    await expect(temporal.signalJob(job, 'resume')).rejects.toMatchObject({ code: 'CONFLICT' });
    await temporal.close();
  });

  test('fails while Temporal is down, and works again after it is back', async () => {
    const job = await queued('outage');
    await server.kill();
    expect(failed(await dispatch(batch(ring(job))))).toEqual(['message-0']);
    server = await startTemporal();
    expect(failed(await dispatch(batch(ring(job))))).toEqual([]);
    client = await connect();
    expect((await client.workflow.getHandle(job).describe()).status.name).toBe('RUNNING');
  }, 60_000);
});

const bells = async () => {
  const sqs = openSqs();
  const received = new Set<string>();
  for (;;) {
    const answer = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: stores.jobsQueue, MaxNumberOfMessages: 10 }),
    );
    if (!answer.Messages?.length) break;
    for (const { Body } of answer.Messages) received.add((JSON.parse(String(Body)) as { job: string }).job);
  }
  sqs.destroy();
  return received;
};

const dueBefore = async (ahead: number) =>
  (await table.listWaiting('dispatch', secondsAgo(-ahead), 1_000)).map(({ job }) => job);
const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString();

describe('sweep', () => {
  test('rings for a job whose message was lost, and then lets it be for some seconds', async () => {
    const lost = await queued('lost');
    const fresh = hashOf('fresh');
    await table.createJob(exampleJob({ job: fresh, createdAt: new Date().toISOString() }));
    const started = await queued('started');
    await table.projectJob({ ...exampleJob({ job: started }), seq: 1, state: 'running' });
    await sweep();
    const rung = await bells();
    expect(rung).toContain(lost);
    expect(rung).not.toContain(fresh);
    expect(rung).not.toContain(started);
    await sweep();
    expect(await bells()).toEqual(new Set());
  });

  test('lets be for as long again what has waited, and what Temporal has for ten minutes', async () => {
    const [patient, dispatched] = [hashOf('has waited'), hashOf('is with Temporal')];
    for (const job of [patient, dispatched])
      await table.createJob(exampleJob({ job, createdAt: secondsAgo(100) }));
    await dispatch(batch(ring(dispatched)));
    await sweep();
    const rung = await bells();
    expect([rung.has(patient), rung.has(dispatched)]).toEqual([true, false]);
    // A job is due five seconds after the time that its row says.
    expect(await dueBefore(90)).not.toContain(patient);
    expect(await dueBefore(96)).toContain(patient);
    expect(await dueBefore(590)).not.toContain(dispatched);
    expect(await dueBefore(596)).toContain(dispatched);
  });
});

const credit = (changes: object = {}) => ({
  type: 'credit',
  payer: coordinator,
  job: hashOf('job'),
  round: 1,
  runner: addressOf('runner'),
  units: '2000',
  amount: '125',
  manifestHash: hashOf('manifest'),
  ...changes,
});

describe('reward', () => {
  test('credits each share once and reports a contradiction', async () => {
    expect(failed(await reward(batch(credit(), credit({ round: 2 }), credit())))).toEqual([]);
    expect(failed(await reward(batch(credit(), credit({ amount: '126' }), credit({ round: 3 }))))).toEqual([
      'message-1',
    ]);
    const credits = await table.listCredits(coordinator);
    expect(credits.map(({ round, amount }) => [round, amount])).toEqual([
      [1, '125'],
      [2, '125'],
      [3, '125'],
    ]);
  });
});

const epoch = (number: number, seq: number, state: 'planned' | 'published' | 'effective') =>
  table.projectEpoch({
    seq,
    updatedAt: timeOf(seq),
    payer: coordinator,
    epoch: number,
    state,
    root: hashOf('root'),
    total: '5',
    leaves: 1,
    manifestHash: hashOf('manifest'),
    archive: 'c'.repeat(43),
    file: hashOf('file'),
    transaction: null,
  });
const settlement = (number: number) => client.workflow.getHandle(settlementWorkflowId(coordinator, number));

const finish = async (name: string, changes: Parameters<typeof exampleJob>[0] = {}) => {
  const job = await queued(name);
  await table.projectJob({ ...exampleJob({ job }), seq: 1, state: 'done', round: 2, ...changes });
  return job;
};

describe('settle', () => {
  test('starts nothing while there is nothing to pay', async () => {
    await finish('other payer', { coordinator: addressOf('somebody else') });
    await settle();
    await expect(settlement(1).describe()).rejects.toThrow(/not found/i);
  });

  test('starts the next epoch’s settlement once, with payer and number', async () => {
    await finish('to pay');
    await Promise.all([settle(), settle(), settle()]);
    const { runId, type, taskQueue } = await settlement(1).describe();
    expect([type, taskQueue]).toEqual(['settlement', 'coordinator']);
    const { events } = await settlement(1).fetchHistory();
    const [started] = events ?? [];
    const [input] = started?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    expect(JSON.parse(Buffer.from(input?.data ?? []).toString())).toEqual({ payer: coordinator, epoch: 1 });
    await settle();
    expect((await settlement(1).describe()).runId).toBe(runId);
  });

  test('takes up a failed settlement under its own number, and only then goes on', async () => {
    await epoch(1, 1, 'planned');
    const { runId } = await settlement(1).describe();
    await settlement(1).terminate();
    await settle();
    expect((await settlement(1).describe()).runId).not.toBe(runId);
    await expect(settlement(2).describe()).rejects.toThrow(/not found/i);
    await epoch(1, 3, 'effective');
    await settle();
    expect((await settlement(2).describe()).status.name).toBe('RUNNING');
    for (const number of [1, 2]) await settlement(number).terminate();
  });
});
