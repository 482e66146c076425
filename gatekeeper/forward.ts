import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Call } from './calls.js';
import { Refused, status } from './frames.js';
import { limits } from './limits.js';
import type { Answer, Upstream } from './upstream.js';

/**
 * Passes a checked call on to Temporal. It ends there too when its caller goes, and when it takes too long.
 * @param polls open polls, while this is one of them
 * @throws Refused
 */
export async function forward(
  upstream: Upstream,
  what: {
    stream: ServerHttp2Stream;
    headers: IncomingHttpHeaders;
    path: string;
    call: Call;
    message: Uint8Array;
  },
  polls: Set<AbortController>,
): Promise<Answer> {
  const { stream, headers, path, call, message } = what;
  if (stream.destroyed) throw givenUp;
  const ending = new AbortController();
  const seconds = Math.min(timeoutOf(headers), call.poll ? limits.pollSeconds : limits.callSeconds);
  const timer = setTimeout(() => ending.abort(tookTooLong), seconds * 1_000);
  const leave = () => ending.abort(givenUp);
  stream.once('close', leave);
  if (call.poll) polls.add(ending);
  try {
    const passed = { 'grpc-timeout': `${Math.ceil(seconds * 1_000)}m`, ...clientOf(headers) };
    return await upstream.call(path, message, passed, ending.signal);
  } catch (error) {
    // A poll that found no task is answered with an empty message.
    if (error === noTask) return { message: new Uint8Array(0) };
    throw error;
  } finally {
    clearTimeout(timer);
    stream.off('close', leave);
    polls.delete(ending);
  }
}

/** Its caller is told that there was no task, and asks again, here or at another gatekeeper. */
export function endPoll(poll: AbortController): void {
  poll.abort(noTask);
}

export const tookTooLong = new Refused(status.deadlineExceeded, 'Temporal took too long');
const givenUp = new Refused(status.unavailable, 'a call that its caller gave up');
const noTask = new Error('the poll ended without a task');

/** Seconds that the caller waits; for ever unless it says. */
function timeoutOf(headers: IncomingHttpHeaders): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(headers['grpc-timeout'] ?? '')) ?? [];
  return digits === undefined || unit === undefined ? Infinity : Number(digits) * (units[unit] ?? 1);
}

const units: Record<string, number> = { H: 3_600, M: 60, S: 1, m: 1e-3, u: 1e-6, n: 1e-9 };

/** Temporal asks which SDK calls; nothing else of a caller's headers is passed on. */
function clientOf(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    ['client-name', 'client-version'].flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' && /^[\w.+-]{1,40}$/.test(value) ? [[name, value]] : [];
    }),
  );
}
