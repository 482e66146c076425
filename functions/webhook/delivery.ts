import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import type { TriggerView } from '#core/views.js';
import { sha256Hex } from '#services/sha256.js';
import { parseJson } from '../body.js';
import { deriveJobId } from '../jobs.js';
import { checkGithubSignature, checkStandardSignature } from './signature.js';

/** An authentic delivery: the job it stands for, or why it starts none. */
export type Delivery =
  | { kind: 'job'; job: JobId; /** For people; GitHub does not sign it. */ delivery: string | null }
  | { kind: 'ignored'; reason: string };

/**
 * Authenticates first; the body is parsed only afterwards, and only to filter by ref. The job is the trigger's.
 * @throws NOT_SIGNED, BAD_SIGNATURE, TOO_OLD, INVALID_INPUT when an authentic body is not JSON
 */
export function readDelivery(
  trigger: Pick<TriggerView, 'name' | 'kind' | 'events' | 'refs'>,
  secrets: readonly string[],
  headers: Headers,
  body: Uint8Array,
  now: number,
): Delivery {
  switch (trigger.kind) {
    case 'github': {
      checkGithubSignature(headers, body, secrets);
      const payload = parseGithubPayload(headers, body);
      const reason = githubFilter(trigger, headers.get('x-github-event'), payload);
      if (reason) return { kind: 'ignored', reason };
      // The delivery's id is not signed, so whoever saw one delivery could repeat it under new ids: the body decides.
      const job = deriveJobId('github', trigger.name, sha256Hex(body));
      return { kind: 'job', job, delivery: shortHeader(headers.get('x-github-delivery')) };
    }
    case 'standard': {
      const { id } = checkStandardSignature(headers, body, secrets, now);
      parseJson(body, 'The body');
      return { kind: 'job', job: deriveJobId('standard', trigger.name, id), delivery: id };
    }
  }
}

function githubFilter(
  trigger: Pick<TriggerView, 'events' | 'refs'>,
  event: string | null,
  payload: unknown,
): string | null {
  if (event === null)
    throw new RoundtableError('INVALID_INPUT', 'The delivery has no X-GitHub-Event header.');
  if (event === 'ping') return 'ping';
  if (!trigger.events.includes(event))
    return `event ${event.slice(0, 60)}; this trigger listens to ${trigger.events.join(', ')}`;
  const ref = refOf(payload);
  // The event's name is not signed: without this, any other signed payload could be passed off as a push.
  if (event === 'push' && ref === null)
    throw new RoundtableError('INVALID_INPUT', 'The push has no ref in its payload.');
  if (trigger.refs.length > 0 && (ref === null || !trigger.refs.includes(ref)))
    return `ref ${String(ref).slice(0, 250)}; this trigger listens to ${trigger.refs.join(', ')}`;
  return null;
}

/** GitHub sends JSON, or a form with one field that holds it. */
function parseGithubPayload(headers: Headers, body: Uint8Array): unknown {
  const form = headers.get('content-type')?.startsWith('application/x-www-form-urlencoded') ?? false;
  if (!form) return parseJson(body, 'The payload');
  const payload = new URLSearchParams(new TextDecoder().decode(body)).get('payload') ?? '';
  return parseJson(Buffer.from(payload), 'The payload');
}

function refOf(payload: unknown): string | null {
  const ref = typeof payload === 'object' && payload !== null && 'ref' in payload ? payload.ref : null;
  return typeof ref === 'string' ? ref : null;
}

function shortHeader(value: string | null): string | null {
  return value === null ? null : value.slice(0, 100);
}
