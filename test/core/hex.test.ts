import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { ByteWriter, compareBytes, int32View } from '#core/bytes.js';
import { fromHex, toHex } from '#core/hex.js';

describe('hex', () => {
  test('what is written is read back, in either case', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = toHex(bytes);
        expect(text).toBe(`0x${Buffer.from(bytes).toString('hex')}`);
        expect(fromHex(text)).toEqual(bytes);
        expect(fromHex(`0x${text.slice(2).toUpperCase()}`, bytes.length)).toEqual(bytes);
      }),
    );
  });

  test.each(['', '0x0', '00', '0xgg', '0x 0', '0X00', '0x00\n'])('%j is refused', (text) => {
    expect(() => fromHex(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });

  test('another length than expected is refused', () => {
    expect(() => fromHex('0x0102', 3)).toThrow('Expected 3 bytes of hexadecimal, got 2');
  });
});

describe('ByteWriter', () => {
  test('writes integers in little-endian order', () => {
    const bytes = new ByteWriter(1 + 4 + 8 + 16)
      .u8(0xff)
      .u32(0x01020304)
      .u64(2n ** 64n - 2n)
      .u128(2n ** 127n + 5n)
      .finish();
    expect(toHex(bytes)).toBe('0xff04030201feffffffffffffff05000000000000000000000000000080');
  });

  test.each([
    ['u8', 256],
    ['u32', -1],
    ['u32', 1.5],
    ['u32', 2 ** 32],
    ['u64', 2n ** 64n],
    ['u64', 2 ** 53],
    ['u128', 2n ** 128n],
    ['u128', -1n],
  ] as const)('%s refuses %s', (method, value) => {
    expect(() => new ByteWriter(16)[method](value)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('refuses a field of another length and an unfinished preimage', () => {
    expect(() => new ByteWriter(40).bytes(new Uint8Array(31), 32)).toThrow(
      'A field of 32 bytes was given 31 bytes',
    );
    expect(() => new ByteWriter(2).u8(1).finish()).toThrow('1 of 2 bytes were written');
  });
});

test('bytes are ordered as Buffer.compare orders them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
    }),
  );
});

test('int32 values are read at any alignment', () => {
  const values = Int32Array.of(1, -2, 2 ** 31 - 1);
  const shifted = new Uint8Array(13);
  shifted.set(new Uint8Array(values.buffer), 1);
  expect(int32View(shifted.subarray(1))).toEqual(values);
  expect(() => int32View(shifted)).toThrow('13 bytes are not a whole number of int32 values');
});
