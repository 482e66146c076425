import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openSqs } from '#local/events/queues.js';
import { openQueue } from '#services/queue.js';
import { startStores, type Stores } from './realParts.js';
import { hashOf } from './views.js';

let stores: Stores;
beforeAll(async () => {
  stores = await startStores(['sqs']);
});
afterAll(() => stores.stop());

const message = { type: 'job', job: hashOf('job') };
const sorted = (list: readonly unknown[]) => list.map((entry) => JSON.stringify(entry)).sort();
const isFirst = (entry: unknown) => JSON.stringify(entry) === JSON.stringify(message);

test('a message arrives as JSON', async () => {
  await openQueue({ url: stores.jobsQueue }).send(message);
  const sqs = openSqs();
  const received = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: stores.jobsQueue, WaitTimeSeconds: 5 }),
  );
  sqs.destroy();
  expect(received.Messages?.map(({ Body }) => JSON.parse(String(Body)) as unknown)).toEqual([message]);
});

test('many arrive once each, though only ten fit into a request', async () => {
  const messages = Array.from({ length: 23 }, (_, number) => ({ type: 'job', job: hashOf(`job ${number}`) }));
  await openQueue({ url: stores.jobsQueue }).sendAll(messages);
  const sqs = openSqs();
  const received: unknown[] = [];
  for (let empty = 0; empty < 2;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: stores.jobsQueue, MaxNumberOfMessages: 10 }),
    );
    empty = Messages.length === 0 ? empty + 1 : 0;
    received.push(...Messages.map(({ Body }) => JSON.parse(String(Body)) as unknown));
  }
  sqs.destroy();
  expect(sorted(received.filter((entry) => !isFirst(entry)))).toEqual(sorted(messages));
});

test('an outage is UNAVAILABLE', async () => {
  process.env['AWS_ENDPOINT_URL_SQS'] = `http://127.0.0.1:${stores.ports.api}`;
  await expect(openQueue({ url: stores.jobsQueue }).send({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
