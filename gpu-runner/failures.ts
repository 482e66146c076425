import { RoundtableError } from '#core/errors.js';

/** Reading errors that are not ours. They may come from another realm or bundle, so `instanceof` says little. */

/** Node's code of a failed system call, such as ENOENT. */
export function errorNumber(error: unknown): string | undefined {
  const code: unknown = isObject(error) ? error['code'] : undefined;
  return typeof code === 'string' ? code : undefined;
}

export function messageOf(error: unknown): string {
  const message: unknown = isObject(error) ? error['message'] : undefined;
  return typeof message === 'string' ? message : String(error);
}

function nameOf(error: unknown): string | undefined {
  const name: unknown = isObject(error) ? error['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
}

function causeOf(error: unknown): unknown {
  return isObject(error) ? error['cause'] : undefined;
}

/** What a failed transfer means: UNAVAILABLE, or the abort's reason. */
export function unreachable(url: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted && nameOf(signal.reason) !== 'TimeoutError') return signal.reason;
  const cause = causeOf(error);
  const because = cause === undefined ? '' : ` (${errorNumber(cause) ?? messageOf(cause)})`;
  return new RoundtableError(
    'UNAVAILABLE',
    `${new URL(url).host} does not answer: ${messageOf(error)}${because}.`,
    { cause: error },
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
