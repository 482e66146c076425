/** The event that Lambda makes of SQS messages, and what its answer means. */
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { SQSEvent, SQSMessageAttribute, SQSRecord } from 'aws-lambda';

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export function sqsEvent(messages: readonly Message[], queueArn: string, region: string): SQSEvent {
  return { Records: messages.map((message) => record(message, queueArn, region)) };
}

/**
 * The messages that the handler is done with: all but those in `batchItemFailures`. An answer that names no
 * message of the batch counts as a failure of all of them, as in Lambda.
 */
export function processed(messages: readonly Message[], answer: unknown): Message[] {
  const failures = batchItemFailures(answer);
  const known = new Set(messages.map((message) => message.MessageId));
  if (failures.some((id) => !known.has(id))) return [];
  return messages.filter((message) => !failures.includes(message.MessageId ?? ''));
}

function batchItemFailures(answer: unknown): string[] {
  if (typeof answer !== 'object' || answer === null || !('batchItemFailures' in answer)) return [];
  const failures: unknown = answer.batchItemFailures ?? [];
  if (!Array.isArray(failures)) return [''];
  return failures.map((failure: { itemIdentifier?: unknown } | null) =>
    String(failure?.itemIdentifier ?? ''),
  );
}

function record(message: Message, eventSourceARN: string, awsRegion: string): SQSRecord {
  const { Attributes: attributes = {} } = message;
  return {
    messageId: message.MessageId ?? '',
    receiptHandle: message.ReceiptHandle ?? '',
    body: message.Body ?? '',
    attributes: {
      ...attributes,
      ApproximateReceiveCount: attributes.ApproximateReceiveCount ?? '1',
      SentTimestamp: attributes.SentTimestamp ?? '',
      SenderId: attributes.SenderId ?? '',
      ApproximateFirstReceiveTimestamp: attributes.ApproximateFirstReceiveTimestamp ?? '',
    },
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [name, attribute(value)]),
    ),
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN,
    awsRegion,
  };
}

function attribute(value: MessageAttributeValue): SQSMessageAttribute {
  return {
    ...(value.StringValue === undefined ? {} : { stringValue: value.StringValue }),
    ...(value.BinaryValue === undefined
      ? {}
      : { binaryValue: Buffer.from(value.BinaryValue).toString('base64') }),
    stringListValues: [],
    binaryListValues: [],
    dataType: (value.DataType ?? 'String') as SQSMessageAttribute['dataType'],
  };
}
