import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { openDeadLetters } from '#services/deadLetters.js';
import { startStores, type Stores } from '../services/realParts.js';
import { addressOf, coordinator, hashOf } from '../services/views.js';

/** A table whose service says "slow down" to the next so many requests, in DynamoDB's own words. */
let refusing = 0;
let refused = 0;
const between = createServer((request, response) => {
  if (refusing > 0) {
    refusing--;
    refused++;
    request.resume();
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(
      JSON.stringify({
        __type: 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException',
        message: 'The level of configured provisioned throughput for the table was exceeded.',
      }),
    );
    return;
  }
  const { method = 'POST', url: path = '/', headers } = request;
  const passed = forward(
    { port: stores.ports.dynamodb, host: '127.0.0.1', method, path, headers },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  request.pipe(passed);
});

let stores: Stores;
let table: Table;
let reward: (event: SQSEvent) => Promise<SQSBatchResponse>;
beforeAll(async () => {
  stores = await startStores(['dynamodb', 'sqs']);
  await ensureTable({ table: 'roundtable' });
  await new Promise<void>((listening) => between.listen(0, '127.0.0.1', listening));
  const { port } = between.address() as AddressInfo;
  Object.assign(process.env, {
    ...stores.queueUrls,
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${port}`,
  });
  table = openTable({ table: 'roundtable' });
  ({ handler: reward } = await import('#functions/reward/handler.js'));
}, 120_000);
afterAll(async () => {
  between.closeAllConnections();
  await new Promise((done) => between.close(done));
  await stores.stop();
});
beforeEach(() => {
  [refusing, refused] = [0, 0];
});

const credit = (round: number) => ({
  type: 'credit',
  payer: coordinator,
  job: hashOf('job'),
  round,
  runner: addressOf('runner'),
  units: '2000',
  amount: '125',
  manifestHash: hashOf('manifest'),
});

function event(body: object, deliveries = 1): SQSEvent {
  const record = {
    messageId: 'message',
    receiptHandle: 'receipt',
    body: JSON.stringify(body),
    attributes: {
      ApproximateReceiveCount: String(deliveries),
      SentTimestamp: '0',
      SenderId: '0',
      ApproximateFirstReceiveTimestamp: '0',
    },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:roundtable-credits',
    awsRegion: 'us-east-1',
  };
  return { Records: [record] };
}

const roundsCredited = async () => (await table.listCredits(coordinator)).map(({ round }) => round);
const deadCredits = () =>
  openDeadLetters({
    queue: String(process.env['CREDITS_QUEUE_URL']),
    dead: String(process.env['CREDITS_DEAD_URL']),
  });

test('a short throttling of the table goes unnoticed', async () => {
  refusing = 2;
  expect(await reward(event(credit(1)))).toEqual({ batchItemFailures: [] });
  expect(refused).toBe(2);
  expect(await roundsCredited()).toEqual([1]);
}, 30_000);

test('a long one is UNAVAILABLE: the message comes again, nothing is laid aside, and it is credited once', async () => {
  refusing = Infinity;
  expect(await reward(event(credit(2)))).toEqual({ batchItemFailures: [{ itemIdentifier: 'message' }] });
  await expect(table.listCredits(coordinator)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('ProvisionedThroughputExceeded'),
  });
  refusing = 0;
  expect((await deadCredits().look()).dead).toBe(0);
  // Redelivered, and once more after it had succeeded.
  expect(await reward(event(credit(2), 2))).toEqual({ batchItemFailures: [] });
  expect(await reward(event(credit(2), 3))).toEqual({ batchItemFailures: [] });
  expect(await roundsCredited()).toEqual([1, 2]);
}, 60_000);

test('a message of a newer version is laid aside with what is new in it', async () => {
  expect(await reward(event({ ...credit(3), currency: 'EUR' }))).toEqual({ batchItemFailures: [] });
  const { letters } = await deadCredits().look();
  expect(letters).toMatchObject([{ code: 'INVALID_INPUT', reason: expect.stringContaining('currency') }]);
  expect(await roundsCredited()).toEqual([1, 2]);
});

test('a message of an older version is laid aside with what is missing', async () => {
  const { manifestHash: _, ...older } = credit(4);
  expect(await reward(event(older))).toEqual({ batchItemFailures: [] });
  const { letters } = await deadCredits().look();
  expect(letters.map(({ reason }) => reason)).toEqual(
    expect.arrayContaining([expect.stringContaining('manifestHash')]),
  );
});
