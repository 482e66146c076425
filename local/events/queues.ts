import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';

export interface Queue {
  url: string;
  arn: string;
}

export interface QueueDefinition {
  queue: string;
  deadLetter: string;
  maxReceiveCount: number;
  visibilitySeconds: number;
}

/** A client for the emulator, whose queue URLs are names rather than addresses; retries are left to the caller. */
export function openSqs(): SQSClient {
  return new SQSClient({ useQueueUrlAsEndpoint: false, maxAttempts: 1 });
}

/** The queue with its dead-letter queue; both are made, or brought to these attributes, when needed. */
export async function ensureQueue(sqs: SQSClient, definition: QueueDefinition): Promise<Queue> {
  const { queue, deadLetter, maxReceiveCount, visibilitySeconds } = definition;
  const dead = await ensure(sqs, deadLetter, { MessageRetentionPeriod: String(14 * 86_400) });
  return ensure(sqs, queue, {
    VisibilityTimeout: String(visibilitySeconds),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount }),
  });
}

async function ensure(sqs: SQSClient, name: string, attributes: Record<string, string>): Promise<Queue> {
  const url = await create(sqs, name, attributes);
  const answer = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['QueueArn'] }),
  );
  const arn = answer.Attributes?.['QueueArn'];
  if (arn === undefined) throw new Error(`SQS gave no ARN for ${name}`);
  return { url, arn };
}

async function create(sqs: SQSClient, name: string, attributes: Record<string, string>): Promise<string> {
  try {
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
    if (QueueUrl === undefined) throw new Error(`SQS gave no URL for ${name}`);
    return QueueUrl;
  } catch (error) {
    // It exists with other attributes. The emulator gives the error its older name, which the SDK does not know.
    if (!(error instanceof Error && error.name.endsWith('QueueNameExists'))) throw error;
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
    if (QueueUrl === undefined) throw error;
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: attributes }));
    return QueueUrl;
  }
}
