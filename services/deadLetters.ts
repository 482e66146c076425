import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type Message,
} from '@aws-sdk/client-sqs';
import type { ErrorCode } from '#core/errorCodes.js';
import type { DeadLetterView, QueueView } from '#core/views.js';
import { createQueueClient } from './queue.js';

/** A queue and where its messages lie that could not be processed. */
export interface QueueUrls {
  queue: string;
  dead: string;
}

/** What became of messages that a function could not process. Every method can throw UNAVAILABLE. */
export interface DeadLetters {
  /** Lays a message aside with its reason. SQS does so itself after the last delivery, but knows no reason. */
  bury(
    message: { body: string; deliveries: number },
    why: { code: ErrorCode; reason: string },
  ): Promise<void>;
  /** How many wait and how many lie aside, with some of these. Looking changes nothing. */
  look(): Promise<Omit<QueueView, 'queue'>>;
  /** Puts up to `most` of them back into their queue. @returns how many */
  redrive(most: number): Promise<number>;
}

/** Characters of a message and of its reason that are shown. */
const shown = 1_000;
const batchSize = 10;
/** Dead letters that `look` shows at most. */
const mostShown = 50;

export function openDeadLetters(urls: QueueUrls, client = createQueueClient()): DeadLetters {
  const receive = async (visibilitySeconds: number): Promise<Message[]> => {
    const { Messages } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: urls.dead,
        MaxNumberOfMessages: batchSize,
        VisibilityTimeout: visibilitySeconds,
        WaitTimeSeconds: 0,
        MessageSystemAttributeNames: ['SentTimestamp', 'ApproximateReceiveCount'],
        MessageAttributeNames: ['All'],
      }),
    );
    return Messages ?? [];
  };
  const waiting = async (url: string): Promise<number> => {
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl: url,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    return (
      Number(Attributes?.['ApproximateNumberOfMessages'] ?? 0) +
      Number(Attributes?.['ApproximateNumberOfMessagesNotVisible'] ?? 0)
    );
  };

  return {
    async bury({ body, deliveries }, { code, reason }) {
      await client.send(
        new SendMessageCommand({
          QueueUrl: urls.dead,
          MessageBody: body,
          MessageAttributes: {
            code: text(code),
            // SQS takes no control characters, and no empty value.
            reason: text(printable(reason) || '-'),
            deliveries: { DataType: 'Number', StringValue: String(deliveries) },
          },
        }),
      );
    },

    async look() {
      const [count, dead] = await Promise.all([waiting(urls.queue), waiting(urls.dead)]);
      const letters = new Map<string, DeadLetterView>();
      // Nothing is hidden from anybody by looking, so SQS may show the same ones again: until nothing new comes.
      while (letters.size < Math.min(dead, mostShown)) {
        const before = letters.size;
        for (const message of await receive(0)) letters.set(message.MessageId ?? '', letterOf(message));
        if (letters.size === before) break;
      }
      return {
        waiting: count,
        dead,
        letters: [...letters.values()].sort((a, b) => (a.since < b.since ? -1 : 1)).slice(0, mostShown),
      };
    },

    async redrive(most) {
      let moved = 0;
      while (moved < most) {
        const messages = await receive(30);
        if (messages.length === 0) break;
        for (const { Body = '', ReceiptHandle } of messages.slice(0, most - moved)) {
          // Sent before it is deleted: twice does no harm, never would.
          await client.send(new SendMessageCommand({ QueueUrl: urls.queue, MessageBody: Body }));
          await client.send(new DeleteMessageCommand({ QueueUrl: urls.dead, ReceiptHandle }));
          moved++;
        }
      }
      return moved;
    },
  };
}

function letterOf({ MessageId = '', Body = '', Attributes, MessageAttributes }: Message): DeadLetterView {
  const { code, reason, deliveries } = MessageAttributes ?? {};
  return {
    id: MessageId,
    since: new Date(Number(Attributes?.SentTimestamp ?? 0)).toISOString(),
    message: Body.slice(0, shown),
    deliveries: deliveries?.StringValue === undefined ? null : Number(deliveries.StringValue),
    code: code?.StringValue ?? null,
    reason: (
      reason?.StringValue ??
      'its function ended or ran out of time at each delivery; the log of the function says more'
    ).slice(0, shown),
  };
}

const text = (StringValue: string) => ({ DataType: 'String', StringValue });

function printable(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, shown)
    .trim();
}
