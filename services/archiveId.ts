import { fromHex, toHex, type Hex } from '#core/hex.js';
import { RoundtableError } from '#core/errors.js';

/** An Arweave transaction id is the SHA-256 of its signature: 32 bytes, written as 43 characters of base64url. */

/** @example isArchiveId('frkGPuTzi4t7sEIhBqHsULKzn0oMkjYbvXMdwsjcbbg') // true */
export function isArchiveId(id: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(id) && isCanonicalBase64url(id);
}

/** The id as the chain stores it. @throws INVALID_INPUT */
export function archiveIdToBytes32(id: string): Hex {
  if (!isArchiveId(id))
    throw new RoundtableError(
      'INVALID_INPUT',
      `Expected an Arweave id (43 characters of base64url), got ${JSON.stringify(id.slice(0, 60))}.`,
    );
  return toHex(Buffer.from(id, 'base64url'));
}

/** @param bytes32 0x and 64 hexadecimal digits. @throws INVALID_INPUT */
export function bytes32ToArchiveId(bytes32: Hex): string {
  return Buffer.from(fromHex(bytes32, 32)).toString('base64url');
}

/** One spelling for each value: with spare bits set, another text would decode to the same bytes. */
export function isCanonicalBase64url(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text;
}
