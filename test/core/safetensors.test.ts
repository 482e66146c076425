import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  decodeSafetensors,
  DTYPE_SIZES,
  encodeSafetensors,
  type Dtype,
  type NamedTensor,
} from '#core/safetensors.js';

const dtype = fc.constantFrom(...(Object.keys(DTYPE_SIZES) as Dtype[]));
const tensors = fc.uniqueArray(
  fc.record({
    name: fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
    dtype,
    shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
    fill: fc.integer({ min: 0, max: 255 }),
  }),
  { selector: ({ name }) => name, maxLength: 8 },
);

function named({
  name,
  dtype,
  shape,
  fill,
}: {
  name: string;
  dtype: Dtype;
  shape: number[];
  fill: number;
}): NamedTensor {
  const size = shape.reduce((product, extent) => product * extent, DTYPE_SIZES[dtype]);
  return { name, dtype, shape, data: new Uint8Array(size).fill(fill) };
}

/** A file with any header and any data. */
function file(header: unknown, dataBytes = 0, claimed?: bigint): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

const entry = (begin: number, end: number, shape = [end - begin]) => ({
  dtype: 'U8',
  shape,
  data_offsets: [begin, end],
});

describe('safetensors', () => {
  test('what is written is read back, and is the same whatever the order of the tensors', () => {
    fc.assert(
      fc.property(tensors, fc.dictionary(fc.string(), fc.string()), (list, metadata) => {
        fc.pre(!Object.hasOwn(metadata, '__proto__'));
        const written = encodeSafetensors(list.map(named), metadata);
        const { tensors: read, metadata: notes } = decodeSafetensors(written);
        expect(read.size).toBe(list.length);
        for (const { name, ...rest } of list.map(named)) expect(read.get(name)).toEqual(rest);
        expect({ ...notes }).toEqual({ ...metadata });
        expect(encodeSafetensors(list.map(named).toReversed(), metadata)).toEqual(written);
      }),
    );
  });

  test('writes the bytes that the format describes', () => {
    const written = encodeSafetensors(
      [
        { name: 'b', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
        { name: 'a', dtype: 'I64', shape: [], data: new Uint8Array(8).fill(9) },
      ],
      { note: 'x' },
    );
    const json =
      '{"__metadata__":{"note":"x"},"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
    expect(Buffer.from(written)).toEqual(
      Buffer.concat([
        Buffer.of(padded.length, 0, 0, 0, 0, 0, 0, 0),
        Buffer.from(padded),
        Buffer.of(9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3),
      ]),
    );
  });

  test('a file of names that look like numbers keeps their order', () => {
    const list = ['10', '9', 'a'].map((name) => ({
      name,
      dtype: 'U8' as const,
      shape: [1],
      data: Uint8Array.of(1),
    }));
    expect([...decodeSafetensors(encodeSafetensors(list)).tensors.keys()]).toEqual(['10', '9', 'a']);
  });

  test('the data of what was read are views, not copies', () => {
    const written = encodeSafetensors([{ name: 'a', dtype: 'I32', shape: [1], data: new Uint8Array(4) }]);
    const data = decodeSafetensors(written).tensors.get('a')?.data;
    expect(data?.buffer).toBe(written.buffer);
    expect((data?.byteOffset ?? 1) % 8).toBe(0);
  });

  test.each([
    [
      'a name twice',
      [
        { name: 'a', dtype: 'U8', shape: [0], data: new Uint8Array(0) },
        { name: 'a', dtype: 'U8', shape: [0], data: new Uint8Array(0) },
      ],
    ],
    ['data of another size', [{ name: 'a', dtype: 'I32', shape: [2], data: new Uint8Array(4) }]],
    ['a reserved name', [{ name: '__metadata__', dtype: 'U8', shape: [0], data: new Uint8Array(0) }]],
    ['__proto__', [{ name: '__proto__', dtype: 'U8', shape: [0], data: new Uint8Array(0) }]],
  ])('%s is not written', (_, list) => {
    expect(() => encodeSafetensors(list as NamedTensor[])).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });
});

describe('a hostile file', () => {
  test.each([
    ['nothing', new Uint8Array(0)],
    ['half a length', new Uint8Array(7)],
    ['a length beyond the file', file({}, 0, 3n)],
    ['a length of 2^64 - 1', file({}, 0, 2n ** 64n - 1n)],
    ['a length of 2^53', file({}, 0, 2n ** 53n)],
    ['no header', file('')],
    ['a header that is not JSON', file('{"a":')],
    ['a header that is an array', file('[]')],
    ['a header that begins with a space', file(' {}')],
    [
      'a header that is not UTF-8',
      Buffer.concat([file('{"": 1}').subarray(0, 10), Buffer.of(0xff, 0xfe, 0x22, 0x3a, 0x31)]),
    ],
    ['data behind the last tensor', file({ a: entry(0, 2) }, 3)],
    ['data that is missing', file({ a: entry(0, 2) }, 1)],
    ['offsets that overlap', file({ a: entry(0, 2), b: entry(1, 3) }, 3)],
    ['two tensors on the same bytes', file({ a: entry(0, 2), b: entry(0, 2) }, 2)],
    ['a hole', file({ a: entry(0, 1), b: entry(2, 3) }, 3)],
    ['offsets in reverse', file({ a: { dtype: 'U8', shape: [0], data_offsets: [2, 1] } }, 2)],
    ['negative offsets', file({ a: { dtype: 'U8', shape: [1], data_offsets: [-1, 0] } })],
    ['offsets that are not integers', file({ a: { dtype: 'U8', shape: [1], data_offsets: [0.5, 1.5] } }, 2)],
    ['offsets that are strings', file({ a: { dtype: 'U8', shape: [1], data_offsets: ['0', '1'] } }, 1)],
    [
      'offsets beyond 2^53',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[9007199254740992,9007199254740993]}}', 1),
    ],
    ['a size of another shape', file({ a: entry(0, 2, [3]) }, 2)],
    ['a shape whose product overflows', file({ a: entry(0, 0, [2 ** 32, 2 ** 32, 2 ** 32]) })],
    ['a shape whose product overflows to zero', file({ a: entry(0, 0, [2 ** 52, 2 ** 52, 0]) })],
    ['a negative extent', file({ a: entry(0, 1, [-1, -1]) }, 1)],
    [
      'a shape of a thousand axes',
      file(
        {
          a: entry(
            0,
            1,
            Array.from({ length: 1_000 }, () => 1),
          ),
        },
        1,
      ),
    ],
    ['an unknown type', file({ a: { ...entry(0, 1), dtype: 'F8' } }, 1)],
    ['a type from the prototype', file({ a: { ...entry(0, 1), dtype: 'constructor' } }, 1)],
    ['an entry with more fields', file({ a: { ...entry(0, 1), more: 1 } }, 1)],
    ['an entry that is null', file({ a: null })],
    ['a name twice', file(`{"a":${JSON.stringify(entry(0, 1))},"a":${JSON.stringify(entry(0, 1))}}`, 1)],
    [
      'a name twice, once escaped',
      file(`{"a":${JSON.stringify(entry(0, 1))},"\\u0061":${JSON.stringify(entry(0, 1))}}`, 1),
    ],
    ['a field twice', file('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1)],
    ['a tensor named __proto__', file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1)],
    [
      'fields behind __proto__',
      file('{"a":{"__proto__":{"dtype":"U8"},"shape":[1],"data_offsets":[0,1]}}', 1),
    ],
    ['metadata that is not strings', file({ __metadata__: { a: 1 } })],
    ['metadata with __proto__', file('{"__metadata__":{"__proto__":"x"}}')],
    ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}')],
  ])('with %s is refused', (_, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });

  test('that is cut anywhere, or has a byte changed in its header, is refused or means what it says', () => {
    const good = encodeSafetensors([{ name: 'a', dtype: 'I32', shape: [4], data: new Uint8Array(16) }], {
      k: 'v',
    });
    for (let length = 0; length < good.length; length++)
      expect(() => decodeSafetensors(good.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'FORMAT_INVALID' }),
      );
    fc.assert(
      fc.property(fc.nat(good.length - 17), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = good.slice();
        bad[at] = (bad[at] ?? 0) ^ flip;
        try {
          const { tensors: read } = decodeSafetensors(bad);
          for (const { data } of read.values()) expect(data.length).toBe(16);
        } catch (error) {
          expect(error).toMatchObject({ code: 'FORMAT_INVALID' });
        }
      }),
    );
  });

  test('with limits on what it may claim is refused before it is parsed', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`t${i}`, entry(0, 0)]));
    expect(decodeSafetensors(file(many)).tensors.size).toBe(100);
    expect(() => decodeSafetensors(file(many), { headerBytes: 1_000, tensors: 1_000 })).toThrow(
      'its header claims',
    );
    expect(() => decodeSafetensors(file(many), { headerBytes: 2 ** 20, tensors: 50 })).toThrow(
      'more than 50 tensors',
    );
  });

  test.each([
    ['deeply nested', `{"a":${'['.repeat(2_000_000)}`],
    ['deeply nested, closed', `{"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`],
    ['one name of 8 MB', `{"${'a'.repeat(8_000_000)}":1}`],
    ['8 MB of escapes', `{"${'\\n'.repeat(4_000_000)}":1}`],
    ['a million names', `{${Array.from({ length: 600_000 }, (_, i) => `"${i}":0`).join()}}`],
    ['8 MB of spaces', `{${' '.repeat(8_000_000)}}x`],
  ])('that is large (%s) is refused quickly', (_, header) => {
    const bytes = file(header);
    const began = performance.now();
    expect(() => decodeSafetensors(bytes)).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});
