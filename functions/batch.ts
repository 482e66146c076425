import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { z } from 'zod';
import type { ErrorCode } from '#core/errorCodes.js';
import { isRoundtableError } from '#core/errors.js';
import { mostDeliveries } from '#core/names.js';
import { parseMessage } from '#core/schema.js';
import type { DeadLetters } from '#services/deadLetters.js';
import { parseJson } from './body.js';
import type { Logger } from '#services/log.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';

/**
 * Handles each message of an SQS event by itself. Those that failed are reported back and delivered again. What
 * cannot succeed, or has not at the last delivery, is laid aside in the dead-letter queue with its reason.
 */
export async function handleBatch<T extends z.ZodType>(
  event: SQSEvent,
  schema: T,
  handle: (message: z.output<T>) => Promise<void>,
  parts: { name: string; dead: Pick<DeadLetters, 'bury'>; telemetry: Telemetry; log: Logger },
): Promise<SQSBatchResponse> {
  const { name, dead, telemetry, log } = parts;
  const count = (outcome: 'done' | 'again' | 'dead') =>
    telemetry.metrics.record('messages', { function: name, outcome });
  const failures = await Promise.all(
    event.Records.map(async ({ messageId, body, attributes }) => {
      try {
        await handle(parseMessage(schema, parseJson(Buffer.from(body), 'The message'), 'The message'));
        count('done');
        return [];
      } catch (error) {
        const code: ErrorCode = isRoundtableError(error) ? error.code : 'INTERNAL';
        const deliveries = Number(attributes.ApproximateReceiveCount);
        log.error({ err: error, messageId, code, deliveries }, 'message failed');
        if (!HOPELESS.has(code) && deliveries < mostDeliveries) {
          count('again');
          return [{ itemIdentifier: messageId }];
        }
        count('dead');
        const reason = error instanceof Error ? error.message : String(error);
        try {
          await dead.bury({ body, deliveries }, { code, reason });
          return [];
        } catch (failure) {
          // SQS lays it aside by itself then, without the reason.
          log.error({ err: failure, messageId }, 'the reason could not be kept');
          return [{ itemIdentifier: messageId }];
        }
      }
    }),
  );
  await telemetry.traces.flush();
  return { batchItemFailures: failures.flat() };
}

/** Delivered again they would fail again. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set(['INVALID_INPUT', 'FORMAT_INVALID']);
