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

const overloaded = new Set([
  'ThrottlingException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'SlowDown',
  'TooManyRequestsException',
]);

function isOutage(error: unknown): boolean {
  if (!(error instanceof Error) || isRoundtableError(error) || error.name === 'CredentialsProviderError')
    return false;
  // What went out carries metadata; without a status, nothing came back.
  if (!('$metadata' in error)) return false;
  const { httpStatusCode } = error.$metadata as { httpStatusCode?: number };
  return httpStatusCode === undefined || httpStatusCode >= 500 || overloaded.has(error.name);
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return error.message ? `${code}, ${error.message}` : code;
}
