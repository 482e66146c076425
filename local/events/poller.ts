/** The event-source mapping of one queue: receives, calls the handler, deletes what it is done with. */
import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#services/log.js';
import { mostInstances, type Lambda } from '../lambda/lambda.js';
import { visibilityOf, type QueueSource } from './config.js';
import { ensureQueue, type Queue } from './queues.js';
import { processed, sqsEvent } from './sqsEvent.js';

const longPollSeconds = 20;
const maxPauseMs = 5_000;

export interface PollerParts {
  sqs: SQSClient;
  lambda: Lambda;
  source: QueueSource;
  region: string;
  log: Logger;
  /** Called each time the queue is known to exist: at the start, and after SQS was away. */
  onQueue: (queue: Queue) => void;
}

/**
 * Runs until the signal aborts; batches in work are brought to their end first. A full batch says that more waits: the
 * next is then worked on beside it, as many at once as the function has instances. SQS may go away at any time and
 * come back without its queues: they are made again.
 */
export async function poll(parts: PollerParts, signal: AbortSignal): Promise<void> {
  const inWork = new Set<Promise<void>>();
  await receiveAndHandle(parts, inWork, signal);
  await Promise.all(inWork);
}

async function receiveAndHandle(
  parts: PollerParts,
  inWork: Set<Promise<void>>,
  signal: AbortSignal,
): Promise<void> {
  const { sqs, source, log } = parts;
  let queue: Queue | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (queue === undefined) {
        queue = await ensureQueue(sqs, { ...source, visibilitySeconds: visibilityOf(source) });
        parts.onQueue(queue);
      }
      const messages = await receiveBatch(parts, queue, signal);
      failures = 0;
      if (messages.length === 0) continue;
      const work = handle(parts, queue, messages).finally(() => inWork.delete(work));
      inWork.add(work);
      if (messages.length < source.batchSize) await work;
      else if (inWork.size >= mostInstances) await Promise.race(inWork);
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      queue = undefined;
      log.warn({ queue: source.queue, failures, error: String(error) }, 'SQS failed; trying again');
      await sleep(Math.min(100 * 2 ** (failures - 1), maxPauseMs), undefined, { signal }).catch(
        () => undefined,
      );
    }
  }
}

/** A batch: the first messages that come, and what follows them within the window. */
async function receiveBatch(
  { sqs, source }: PollerParts,
  queue: Queue,
  signal: AbortSignal,
): Promise<Message[]> {
  const batch = await receive(sqs, queue, source.batchSize, longPollSeconds, signal);
  const end = Date.now() + source.windowSeconds * 1000;
  while (batch.length > 0 && batch.length < source.batchSize && Date.now() < end && !signal.aborted) {
    const seconds = Math.min(longPollSeconds, Math.ceil((end - Date.now()) / 1000));
    batch.push(...(await receive(sqs, queue, source.batchSize - batch.length, seconds, signal)));
  }
  return batch;
}

async function receive(
  sqs: SQSClient,
  queue: Queue,
  count: number,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Message[]> {
  const command = new ReceiveMessageCommand({
    QueueUrl: queue.url,
    MaxNumberOfMessages: count,
    WaitTimeSeconds: waitSeconds,
    MessageSystemAttributeNames: ['All'],
    MessageAttributeNames: ['All'],
  });
  const { Messages } = await sqs.send(command, { abortSignal: signal });
  return Messages ?? [];
}

/** A handler that fails leaves its messages: SQS gives them out again, and in the end to the dead-letter queue. */
async function handle(
  { sqs, lambda, source, region, log }: PollerParts,
  queue: Queue,
  messages: Message[],
): Promise<void> {
  let answer: unknown;
  try {
    answer = await lambda.invoke(sqsEvent(messages, queue.arn, region), source.timeoutSeconds);
  } catch (error) {
    log.error({ function: lambda.name, messages: messages.length, err: error }, 'the handler failed');
    return;
  }
  const done = processed(messages, answer);
  if (done.length < messages.length)
    log.warn(
      { function: lambda.name, failed: messages.length - done.length, of: messages.length },
      'messages failed',
    );
  if (done.length === 0) return;
  const entries = done.map((message, index) => ({
    Id: String(index),
    ReceiptHandle: message.ReceiptHandle ?? '',
  }));
  // What cannot be deleted comes again: handlers have to bear that anyway.
  try {
    const command = new DeleteMessageBatchCommand({ QueueUrl: queue.url, Entries: entries });
    const { Failed = [] } = await sqs.send(command);
    if (Failed.length > 0)
      log.warn({ queue: source.queue, count: Failed.length }, 'handled messages could not be deleted');
  } catch (error) {
    log.warn({ queue: source.queue, error: String(error) }, 'handled messages could not be deleted');
  }
}
