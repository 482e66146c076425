import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { z } from 'zod';
import { isRoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { parseJson } from './body.js';
import type { Logger } from './log.js';

/**
 * Handles each message of an SQS event by itself. Those that failed are reported back: the queue delivers them
 * again, and after its number of attempts to its dead-letter queue.
 */
export async function handleBatch<T extends z.ZodType>(
  event: SQSEvent,
  schema: T,
  handle: (message: z.output<T>) => Promise<void>,
  log: Logger,
): Promise<SQSBatchResponse> {
  const failures = await Promise.all(
    event.Records.map(async ({ messageId, body }) => {
      try {
        await handle(parseMessage(schema, parseJson(Buffer.from(body), 'The message'), 'The message'));
        return [];
      } catch (error) {
        const code = isRoundtableError(error) ? error.code : 'INTERNAL';
        log.error({ err: error, messageId, code }, 'message failed');
        return [{ itemIdentifier: messageId }];
      }
    }),
  );
  return { batchItemFailures: failures.flat() };
}
