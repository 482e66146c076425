import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { layoutOf, type Layout } from '#core/layout.js';
import { versionId } from '#core/model.js';
import { decodeSafetensors, encodeSafetensors } from '#core/safetensors.js';
import { decodeVersion, encodeVersion } from '#core/versionFile.js';
import { toHex } from '#core/hex.js';
import { sha256, sha256Hex } from '#services/sha256.js';

const layouts: fc.Arbitrary<Layout> = fc
  .uniqueArray(
    fc.record({
      name: fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
      shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
      exponent: fc.integer({ min: -26, max: 102 }),
    }),
    { selector: ({ name }) => name, minLength: 1, maxLength: 6 },
  )
  .map(layoutOf);

const layout = layoutOf([
  { name: 'fc.weight', shape: [2, 3], exponent: -26 },
  { name: 'fc.bias', shape: [2], exponent: -24 },
]);
const params = Int32Array.of(1, -2, 3, -4, 5, -6, 2 ** 31 - 1, 0);

describe('a version file', () => {
  test('gives layout and parameters back', () => {
    fc.assert(
      fc.property(layouts, fc.infiniteStream(fc.integer()), (any, values) => {
        const vector = Int32Array.from({ length: any.dimension }, () => values.next().value ?? 0);
        const decoded = decodeVersion(encodeVersion(any, vector, { note: 'x' }));
        expect(decoded.layout).toEqual(any);
        expect(decoded.params).toEqual(vector);
        expect(decoded.metadata).toEqual({ note: 'x' });
      }),
    );
  });

  test('is an ordinary safetensors file, one int32 tensor per weight, its step in the metadata', () => {
    const { tensors, metadata } = decodeSafetensors(encodeVersion(layout, params));
    expect([...tensors.keys()]).toEqual(['fc.bias', 'fc.weight']);
    expect(tensors.get('fc.weight')).toMatchObject({ dtype: 'I32', shape: [2, 3] });
    expect(metadata).toEqual({ 'step.fc.bias': '-24', 'step.fc.weight': '-26' });
  });

  test('holds the parameters as a view, so that a large one is not copied', () => {
    const file = encodeVersion(layout, params);
    expect(decodeVersion(file).params.buffer).toBe(file.buffer);
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    expect(decodeVersion(shifted.subarray(1)).params).toEqual(params);
  });

  const tensor = { name: 'w', dtype: 'I32' as const, shape: [1], data: new Uint8Array(4) };
  test.each([
    ['no step', encodeSafetensors([tensor])],
    ['a step that is no number', encodeSafetensors([tensor], { 'step.w': '-26.0' })],
    ['a step out of range', encodeSafetensors([tensor], { 'step.w': '-27' })],
    ['a step without a tensor', encodeSafetensors([tensor], { 'step.w': '-26', 'step.v': '-26' })],
    ['a step from the prototype', encodeSafetensors([{ ...tensor, name: 'constructor' }], { a: '1' })],
    ['floats', encodeSafetensors([{ ...tensor, dtype: 'F32' }], { 'step.w': '-26' })],
    ['no tensor', encodeSafetensors([], { a: 'b' })],
    [
      'an empty tensor',
      encodeSafetensors([{ ...tensor, shape: [0], data: new Uint8Array(0) }], { 'step.w': '-26' }),
    ],
    ['tensors in another order', swapped()],
  ])('with %s is refused', (_, bytes) => {
    expect(() => decodeVersion(bytes)).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });

  test('parameters of another number, or metadata that looks like a step, are not written', () => {
    expect(() => encodeVersion(layout, params.subarray(1))).toThrow(
      '7 parameters were given for a layout of 8',
    );
    expect(() => encodeVersion(layout, params, { 'step.more': '1' })).toThrow('may not begin with step.');
  });
});

test('a version id is the hash of its four commitments', () => {
  const [graphHash, paramsRoot, stepsHash, stateRoot] = [1, 2, 3, 4].map((byte) =>
    toHex(new Uint8Array(32).fill(byte)),
  );
  const version = { graphHash, paramsRoot, stepsHash, stateRoot } as Parameters<typeof versionId>[1];
  const bytes = Uint8Array.from({ length: 128 }, (_, i) => 1 + Math.floor(i / 32));
  expect(versionId(sha256, version)).toBe(sha256Hex(bytes));
  expect(() => versionId(sha256, { ...version, stateRoot: '0x00' })).toThrow(
    'A field of 32 bytes was given 1 bytes',
  );
});

/** A valid safetensors file whose data do not lie in the order of the names. */
function swapped(): Uint8Array {
  const entries = [4, 0].map((begin) => ({ dtype: 'I32', shape: [1], data_offsets: [begin, begin + 4] }));
  const header = { __metadata__: { 'step.a': '0', 'step.b': '0' }, a: entries[0], b: entries[1] };
  const json = Buffer.from(JSON.stringify(header));
  return Buffer.concat([Buffer.of(json.length, 0, 0, 0, 0, 0, 0, 0), json, Buffer.alloc(8)]);
}
