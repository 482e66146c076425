import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { isRetryable, isRoundtableError } from '#core/errors.js';
import type { Logger } from '#services/log.js';

/**
 * The border between our errors and Temporal's: code and message survive as type and message, and what cannot
 * succeed is not tried again.
 */
export function failureInterceptor(log: Logger): ActivityInboundCallsInterceptor {
  return {
    async execute(input, next) {
      try {
        return await next(input);
      } catch (error) {
        if (error instanceof ApplicationFailure || error instanceof CancelledFailure) throw error;
        log.warn({ err: error }, 'an activity failed');
        throw toFailure(error);
      }
    },
  };
}

function toFailure(error: unknown): ApplicationFailure {
  const message = error instanceof Error ? error.message : String(error);
  return ApplicationFailure.create({
    message,
    type: isRoundtableError(error) ? error.code : nodeCode(error),
    nonRetryable: !isRetryable(error),
    ...(isRoundtableError(error) ? { details: [error.details] } : {}),
  });
}

function nodeCode(error: unknown): string {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC' ? 'DISK_FULL' : 'INTERNAL';
}
