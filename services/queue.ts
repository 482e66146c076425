import { SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';
import { awsDefaults, reportUnavailable } from './aws.js';

/** An SQS queue of JSON messages. Receiving is the event source's business: Lambda's, or the local one. */
export interface Queue {
  /** @throws UNAVAILABLE */
  send(message: unknown): Promise<void>;
}

export function openQueue(options: { url: string; client?: SQSClient }): Queue {
  const client = options.client ?? createQueueClient();
  return {
    async send(message) {
      await client.send(
        new SendMessageCommand({ QueueUrl: options.url, MessageBody: JSON.stringify(message) }),
      );
    },
  };
}

export function createQueueClient(): SQSClient {
  // The queue's URL names the host that it had when it was made; the endpoint is what AWS_ENDPOINT_URL_SQS says.
  const client = new SQSClient({ ...awsDefaults, useQueueUrlAsEndpoint: false });
  client.middlewareStack.add(reportUnavailable('The queue (SQS)'), { step: 'initialize' });
  return client;
}
