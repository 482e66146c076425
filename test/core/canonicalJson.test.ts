import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalBytes, canonicalJson, hashJson } from '#core/canonicalJson.js';
import { sha256, sha256Hex } from '#services/sha256.js';

describe('canonicalJson', () => {
  test('writes the example of RFC 8785, section 3.2.3', () => {
    const value = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test('orders keys by UTF-16 code units, as RFC 8785 section 3.2.3 does', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
    expect([...canonicalJson(value).matchAll(/:(\d)/g)].map(([, digit]) => digit).join('')).toBe('2467153');
  });

  test('means the same value, whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(canonicalJson(reversed(value))).toBe(text);
      }),
    );
  });

  test('is hashed as UTF-8', () => {
    expect(hashJson(sha256, { name: 'Zoë' })).toBe(sha256Hex(Buffer.from('{"name":"Zoë"}', 'utf8')));
    expect(Buffer.from(canonicalBytes('é')).toString('hex')).toBe('22c3a922');
  });

  test.each([
    ['undefined', { a: undefined }, '$.a'],
    ['NaN', { a: [NaN] }, '$.a[0]'],
    ['infinity', [-Infinity], '$[0]'],
    ['a bigint', { a: 1n }, '$.a'],
    ['a function', [() => 0], '$[0]'],
    ['a symbol', [Symbol('a')], '$[0]'],
    ['a lone surrogate', 'a\ud800', '$'],
    ['a lone surrogate in a key', { '\udc00a': 1 }, '$'],
    ['a date', { at: new Date(0) }, '$.at'],
    ['a map', new Map(), '$'],
    ['a hole', [1, , 2], '$[1]'], // eslint-disable-line no-sparse-arrays
    ['something that writes itself', { toJSON: () => 1 }, '$'],
  ])('%s is refused with its path', (_, value, path) => {
    expect(() => canonicalJson(value)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', details: { path } }),
    );
  });

  test('hostile depth is refused', () => {
    const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
    expect(() => canonicalJson(deep)).toThrow('nested deeper than 64 levels');
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, reversed(member)]),
  );
}
