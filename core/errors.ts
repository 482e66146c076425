import { errorCodes, type ErrorCode } from './errorCodes.js';

export type ErrorDetails = Readonly<Record<string, unknown>>;

/**
 * The one error that Roundtable throws on purpose. `message` says what was wrong, what was expected and what
 * to do; `code` is stable and listed in docs/errors.md; `details` are safe to show (never a secret).
 */
export class RoundtableError extends Error {
  override readonly name = 'RoundtableError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  /** HTTP status of this error at an API. */
  get status(): number {
    return errorCodes[this.code].status;
  }
}

/** True for a RoundtableError, of one particular code if given, also when it crossed a bundle border. */
export function isRoundtableError(error: unknown, code?: ErrorCode): error is RoundtableError {
  return (
    error instanceof Error &&
    error.name === 'RoundtableError' &&
    'code' in error &&
    (code === undefined || error.code === code)
  );
}

/**
 * Whether trying again can help: yes for what is unavailable now and for errors nobody foresaw (a connection
 * that broke), no for what was refused.
 */
export function isRetryable(error: unknown): boolean {
  return !isRoundtableError(error) || (error.code !== 'INTERNAL' && error.status >= 500);
}
