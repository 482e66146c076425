import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { toHex, type Hex } from '#core/hex.js';
import { archiveIdToBytes32, bytes32ToArchiveId, isArchiveId } from '#services/archiveId.js';

test('an id and its 32 bytes are two spellings of one thing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const id = bytes32ToArchiveId(toHex(bytes));
      expect(isArchiveId(id)).toBe(true);
      expect(archiveIdToBytes32(id)).toBe(toHex(bytes));
    }),
  );
});

test('a known id has known bytes', () => {
  expect(archiveIdToBytes32('AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8')).toBe(
    '0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
  );
});

test('anything else is refused', () => {
  const id = randomBytes(32).toString('base64url');
  const spare = `${'A'.repeat(42)}B`; // its last two bits are not part of the 32 bytes
  for (const wrong of ['', id.slice(1), `${id}A`, `${id}=`, spare, `+${id.slice(1)}`, `../${id.slice(3)}`])
    expect(() => archiveIdToBytes32(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  const hex: Hex[] = ['0x', `0x${'00'.repeat(31)}`, `0x${'00'.repeat(33)}`, `0x${'zz'.repeat(32)}`];
  for (const wrong of hex)
    expect(() => bytes32ToArchiveId(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
});
