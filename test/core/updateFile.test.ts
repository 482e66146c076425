import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { decodeUpdateFile, encodeUpdateFile } from '#core/updateFile.js';

const of = { job: `0x${'11'.repeat(32)}`, round: 3, runner: `0x${'22'.repeat(20)}`, ring: 'i32' } as const;
const delta = Int32Array.of(1, -1, 2 ** 31 - 1, -(2 ** 31) + 1, 0);

/** A file with any header. */
function file(json: string, data: Int32Array = delta, pad = 8): Uint8Array {
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / pad) * pad));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([Buffer.from('RTUPDATE'), length, header, Buffer.from(data.buffer)]);
}

const header = (changes: Record<string, unknown> = {}) => ({
  format: 1,
  job: of.job,
  ring: 'i32',
  round: 3,
  runner: of.runner,
  sections: { delta: 5 },
  valuesPerLeaf: 64,
  ...changes,
});

describe('an update file', () => {
  test('gives header and values back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 31) + 1 }), { minLength: 1 }), (list) => {
        const values = Int32Array.from(list);
        const decoded = decodeUpdateFile(encodeUpdateFile({ ...of, sections: { delta: values } }));
        expect(decoded.delta).toEqual(values);
        expect(decoded.header).toEqual(header({ sections: { delta: values.length } }));
      }),
    );
  });

  test('has the bytes that the protocol describes, and the values at a multiple of 8', () => {
    const bytes = encodeUpdateFile({ ...of, sections: { delta } });
    expect(Buffer.from(bytes)).toEqual(file(JSON.stringify(header())));
    const decoded = decodeUpdateFile(bytes);
    expect(decoded.delta.buffer).toBe(bytes.buffer);
    expect(decoded.delta.byteOffset % 8).toBe(0);
  });

  test('is read at any alignment', () => {
    const bytes = encodeUpdateFile({ ...of, sections: { delta } });
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeUpdateFile(shifted.subarray(3)).delta).toEqual(delta);
  });

  test('with a header that could not be read is not written', () => {
    expect(() => encodeUpdateFile({ ...of, round: 0, sections: { delta } })).toThrow('round');
    expect(() => encodeUpdateFile({ ...of, sections: { delta: new Int32Array(0) } })).toThrow(
      'sections.delta',
    );
    expect(() => encodeUpdateFile({ ...of, runner: '0xAB', sections: { delta } })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  const good = JSON.stringify(header());
  test.each([
    ['another beginning', Buffer.concat([Buffer.from('RTUPDATA'), file(good).subarray(8)])],
    ['a header length beyond the file', Buffer.concat([Buffer.from('RTUPDATE'), Buffer.alloc(8, 0xff)])],
    ['a header length that is no multiple of 8', file(good, delta, 3)],
    ['a value missing', file(good).subarray(0, -4)],
    ['a byte too many', Buffer.concat([file(good), Buffer.of(0)])],
    [
      'another spelling of the header',
      file(JSON.stringify(Object.fromEntries(Object.entries(header()).toReversed()))),
    ],
    ['spaces in front', file(` ${good}`)],
    ['more padding than needed', file(good.padEnd(Math.ceil(good.length / 8) * 8 + 8))],
    ['a byte order mark', file(`\ufeff${good}`)],
    ['a key twice', file(good.replace('{', '{"format":1,'))],
    ['an unknown key', file(JSON.stringify(header({ zeal: 1 })))],
    ['an unknown section', file(JSON.stringify(header({ sections: { control: 1, delta: 5 } })))],
    ['another ring', file(JSON.stringify(header({ ring: 'u64' })))],
    ['no JSON', file('[')],
    ['the value -2^31', file(good, Int32Array.of(1, 2, -(2 ** 31), 4, 5))],
  ])('with %s is refused', (_, bytes) => {
    expect(() => decodeUpdateFile(bytes)).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
  });

  test('cut anywhere is refused', () => {
    const bytes = encodeUpdateFile({ ...of, sections: { delta } });
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeUpdateFile(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'FORMAT_INVALID' }),
      );
  });
});
