import { createHmac, timingSafeEqual } from 'node:crypto';
import { RoundtableError } from '#core/errors.js';

/** Signatures of webhooks, checked over the raw body before anything of it is parsed. */

/**
 * GitHub: `X-Hub-Signature-256: sha256=` and HMAC-SHA256 of the body in hex.
 * https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 * @throws NOT_SIGNED, BAD_SIGNATURE
 */
export function checkGithubSignature(headers: Headers, body: Uint8Array, secrets: readonly string[]): void {
  const header = headers.get('x-hub-signature-256');
  const hex = /^sha256=([0-9a-f]{64})$/.exec(header ?? '')?.[1];
  if (!hex)
    throw new RoundtableError(
      'NOT_SIGNED',
      'The delivery needs X-Hub-Signature-256: sha256= and 64 hex digits.',
    );
  const expected = secrets.map((secret) => hmac(Buffer.from(secret), body));
  if (!anyEqual(expected, [Buffer.from(hex, 'hex')])) throw wrongSecret();
}

/** What a Standard Webhooks call says of itself; all of it is covered by its signature. */
export interface StandardCall {
  id: string;
  /** Seconds since 1970. */
  timestamp: number;
}

/**
 * Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, base64, as one of `webhook-signature`'s space-separated
 * `v1,` entries (a sender that rotates its secret signs with both). Secrets are `whsec_` and base64.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * @throws NOT_SIGNED, BAD_SIGNATURE, TOO_OLD when the signed time is more than five minutes from `now` (seconds)
 */
export function checkStandardSignature(
  headers: Headers,
  body: Uint8Array,
  secrets: readonly string[],
  now: number,
): StandardCall {
  // Without full stops in the id, the three signed parts cannot be cut apart in two ways.
  const id = /^[!-\-/-~]{1,200}$/.exec(headers.get('webhook-id') ?? '')?.[0];
  const time = /^\d{1,12}$/.exec(headers.get('webhook-timestamp') ?? '')?.[0];
  const signatures = parseStandardSignatures(headers.get('webhook-signature') ?? '');
  if (!id || !time || signatures.length === 0)
    throw new RoundtableError(
      'NOT_SIGNED',
      'The call needs webhook-id (no full stops), webhook-timestamp (seconds) and webhook-signature (v1,base64).',
    );
  const signed = Buffer.concat([Buffer.from(`${id}.${time}.`), body]);
  const expected = secrets.map((secret) => hmac(standardKey(secret), signed));
  if (!anyEqual(expected, signatures)) throw wrongSecret();
  const timestamp = Number(time);
  if (Math.abs(now - timestamp) > toleranceSeconds)
    throw new RoundtableError(
      'TOO_OLD',
      `The call was signed at ${timestamp}, ${Math.abs(now - timestamp)} s from now; ${toleranceSeconds} s are allowed.`,
    );
  return { id, timestamp };
}

/** The `v1` entries; other versions and malformed ones are passed over, as the specification asks. */
export function parseStandardSignatures(header: string): Buffer[] {
  if (header.length > 4_096) return [];
  return header
    .split(' ')
    .map((entry) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(entry)?.[1])
    .filter((base64) => base64 !== undefined)
    .map((base64) => Buffer.from(base64, 'base64'));
}

export const standardSecretPrefix = 'whsec_';
const toleranceSeconds = 300;

function standardKey(secret: string): Buffer {
  return Buffer.from(secret.slice(standardSecretPrefix.length), 'base64');
}

function hmac(key: Buffer, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** Compares every pair, each in constant time, so that the time tells neither how near nor which one. */
function anyEqual(expected: readonly Buffer[], given: readonly Buffer[]): boolean {
  let equal = false;
  for (const one of expected) for (const other of given) equal = timingSafeEqual(one, other) || equal;
  return equal;
}

function wrongSecret(): RoundtableError {
  return new RoundtableError(
    'BAD_SIGNATURE',
    'The signature does not fit the body under any secret of this trigger; compare the secret at the sender.',
  );
}
