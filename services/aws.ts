import { RoundtableError, isRoundtableError } from '#core/errors.js';

/** What every AWS client here is made with. Regions, credentials and endpoints come from AWS_* (AWS_ENDPOINT_URL_*). */
export const awsDefaults = {
  maxAttempts: 4,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 20_000 },
} as const;

/**
 * SDK middleware that turns "nobody answered" and "overloaded" into UNAVAILABLE, after the SDK's own retries;
 * everything else passes as it is.
 */
export function reportUnavailable<Input, Output>(what: string) {
  return (next: (input: Input) => Promise<Output>) =>
    async (input: Input): Promise<Output> => {
      try {
        return await next(input);
      } catch (error) {
        throw isOutage(error)
          ? new RoundtableError('UNAVAILABLE', `${what} does not answer: ${reason(error)}`, { cause: error })
          : error;
      }
    };
}

const outageNames = new Set([
  'TimeoutError',
  'ThrottlingException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'SlowDown',
]);

function isOutage(error: unknown): boolean {
  if (!(error instanceof Error) || isRoundtableError(error)) return false;
  if (outageNames.has(error.name)) return true;
  // A system error of the socket (ECONNREFUSED, ENOTFOUND, ...) carries its number; the SDK adds the HTTP status.
  if ('errno' in error || error.name === 'AggregateError') return true;
  const metadata = '$metadata' in error ? (error.$metadata as { httpStatusCode?: number }) : {};
  return (metadata.httpStatusCode ?? 0) >= 500;
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return error.message ? `${code}, ${error.message}` : code;
}
