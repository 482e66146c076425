import { SQSClient, SendMessageBatchCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { RoundtableError } from '#core/errors.js';
import { awsDefaults, reportUnavailable } from './aws.js';

/** An SQS queue of JSON messages. Receiving is the event source's business: Lambda's, or the local one. */
export interface Queue {
  /** @throws UNAVAILABLE */
  send(message: unknown): Promise<void>;
  /** Several, ten in a request. @throws UNAVAILABLE when any was not taken; the others may have been */
  sendAll(messages: readonly unknown[]): Promise<void>;
}

/** Messages that SQS takes in one request. */
const mostOfBatch = 10;

export function openQueue(options: { url: string; client?: SQSClient }): Queue {
  const client = options.client ?? createQueueClient();
  return {
    async send(message) {
      await client.send(
        new SendMessageCommand({ QueueUrl: options.url, MessageBody: JSON.stringify(message) }),
      );
    },

    async sendAll(messages) {
      for (let from = 0; from < messages.length; from += mostOfBatch) {
        const batch = messages.slice(from, from + mostOfBatch);
        const { Failed = [] } = await client.send(
          new SendMessageBatchCommand({
            QueueUrl: options.url,
            Entries: batch.map((message, index) => ({
              Id: String(index),
              MessageBody: JSON.stringify(message),
            })),
          }),
        );
        const [first] = Failed;
        if (first)
          throw new RoundtableError(
            'UNAVAILABLE',
            `The queue (SQS) did not take ${Failed.length} of ${batch.length} messages: ${first.Code}. Send them again.`,
          );
      }
    },
  };
}

export function createQueueClient(): SQSClient {
  // The queue's URL names the host that it had when it was made; the endpoint is what AWS_ENDPOINT_URL_SQS says.
  const client = new SQSClient({ ...awsDefaults, useQueueUrlAsEndpoint: false });
  client.middlewareStack.add(reportUnavailable('The queue (SQS)'), { step: 'initialize' });
  return client;
}
