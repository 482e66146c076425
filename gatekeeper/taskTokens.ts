import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { RoundtableError } from '#core/errors.js';
import type { RunnerId } from '#core/hex.js';

/**
 * Task tokens as runners see them: HMAC-SHA256(secret, runner ‖ token) ‖ token. Whoever brings one back must be the
 * runner that it was handed to. Nothing is remembered, so that any gatekeeper with the secret knows any token.
 */
export class TaskTokens {
  readonly #secrets: readonly Uint8Array[];

  /** @param secrets the first one signs; all of them count, so that tokens outlive a change of secrets */
  constructor(secrets: readonly Uint8Array[]) {
    this.#secrets = secrets;
  }

  bind(runner: RunnerId, token: Uint8Array): Uint8Array {
    const [secret] = this.#secrets;
    if (!secret) throw new TypeError('There are no secrets.');
    return Buffer.concat([mac(secret, runner, token), token]);
  }

  /** Temporal's token; null unless it was handed to this runner. */
  open(runner: RunnerId, bound: Uint8Array): Uint8Array | null {
    const tag = bound.subarray(0, macLength);
    const token = bound.subarray(macLength);
    if (token.length === 0) return null;
    const known = this.#secrets.filter((secret) => timingSafeEqual(mac(secret, runner, token), tag));
    return known.length > 0 ? token : null;
  }
}

/**
 * Secrets from a file: one of 32 bytes in hexadecimal a line, the one that signs first, at most two.
 * @throws KEY_INVALID; never with what the file holds
 */
export function readSecrets(path: string): Uint8Array[] {
  const lines = readFileSync(path, 'utf8')
    .split(/\s+/)
    .filter((line) => line !== '');
  if (lines.length < 1 || lines.length > 2 || !lines.every((line) => /^[0-9a-f]{64}$/.test(line)))
    throw new RoundtableError(
      'KEY_INVALID',
      `${path} must hold one or two secrets of 64 hexadecimal digits, one a line (openssl rand -hex 32).`,
    );
  return lines.map((line) => Buffer.from(line, 'hex'));
}

const macLength = 32;

/** A runner's id has 42 characters, so where the token begins is clear. */
function mac(secret: Uint8Array, runner: RunnerId, token: Uint8Array): Uint8Array {
  return createHmac('sha256', secret).update(runner).update(token).digest();
}
