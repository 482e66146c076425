import { fromHex, toHex, type Hex } from '#core/hex.js';
import { RoundtableError } from '#core/errors.js';

/** An Arweave transaction id is the SHA-256 of its signature: 32 bytes, written as 43 characters of base64url. */

/** @example isArchiveId('frkGPuTzi4t7sEIhBqHsULKzn0oMkjYbvXMdwsjcbbg') // true */
export function isArchiveId(id: string): boolean {
  // One spelling for each value: with spare bits set in the last character, another text would give the same bytes.
  return /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(id);
}

/** The id as the chain stores it. @throws INVALID_INPUT */
export function archiveIdToBytes32(id: string): Hex {
  if (!isArchiveId(id))
    throw new RoundtableError(
      'INVALID_INPUT',
      `Expected an Arweave id (43 characters of base64url), got ${JSON.stringify(id.slice(0, 60))}.`,
    );
  const binary = atob(id.replaceAll('-', '+').replaceAll('_', '/'));
  return toHex(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
}

/** @param bytes32 0x and 64 hexadecimal digits. @throws INVALID_INPUT */
export function bytes32ToArchiveId(bytes32: Hex): string {
  const base64 = btoa(String.fromCharCode(...fromHex(bytes32, 32)));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replace('=', '');
}
