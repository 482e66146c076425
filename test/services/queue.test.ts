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

test('a message arrives as JSON', async () => {
  const message = { type: 'job', job: hashOf('job') };
  await openQueue({ url: stores.jobsQueue }).send(message);
  const sqs = openSqs();
  const received = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: stores.jobsQueue, WaitTimeSeconds: 5 }),
  );
  sqs.destroy();
  expect(received.Messages?.map(({ Body }) => JSON.parse(String(Body)) as unknown)).toEqual([message]);
});

test('an outage is UNAVAILABLE', async () => {
  process.env['AWS_ENDPOINT_URL_SQS'] = `http://127.0.0.1:${stores.ports.api}`;
  await expect(openQueue({ url: stores.jobsQueue }).send({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
