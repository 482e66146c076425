import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { openSealed, rangeDecipher, seal, sealedFor, sealTagBytes, unseal } from '#services/sealing.js';
import { agreeX25519, generateX25519Key, x25519PublicKey } from '#services/x25519.js';

const CONTEXT = 'model 0x01';

function member(id: string) {
  return { id, ...generateX25519Key() };
}

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}

test('every recipient, and nobody else, opens what was sealed', () => {
  const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      ids,
      fc.string({ unit: 'grapheme' }),
      (plain, ids, context) => {
        const members = ids.map(member);
        const envelope = seal(plain, members, context);
        expect(sealedFor(envelope)).toEqual(ids);
        for (const one of members)
          expect(Buffer.from(unseal(envelope, one, context)).equals(plain)).toBe(true);
        const [first] = members;
        const stranger = generateX25519Key();
        expect(code(() => unseal(envelope, { id: first?.id ?? '', ...stranger }, context))).toBe(
          'SEAL_NOT_FOR_YOU',
        );
        expect(code(() => unseal(envelope, member('nobody '.repeat(6)), context))).toBe('SEAL_NOT_FOR_YOU');
      },
    ),
    { numRuns: 40 },
  );
});

test('any range is decrypted without the rest, from its beginning or in pieces', () => {
  const one = member('clinic-a');
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
      fc.nat(),
      fc.nat(),
      fc.nat(),
      (plain, a, b, c) => {
        const envelope = seal(plain, [one, member('clinic-b')], CONTEXT);
        const opened = openSealed(envelope.subarray(0, envelope.length - plain.length), one);
        const from = a % plain.length;
        const to = from + 1 + (b % (plain.length - from));
        const middle = from + (c % (to - from));
        const next = rangeDecipher(opened, from);
        const encrypted = envelope.subarray(opened.at);
        const pieces = [next(encrypted.subarray(from, middle)), next(encrypted.subarray(middle, to))];
        expect(Buffer.concat(pieces).equals(plain.subarray(from, to))).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test('read in pieces it is opened as in one, and a change is noticed at its end', () => {
  const one = member('clinic-a');
  const plain = randomBytes(1_000);
  const envelope = seal(plain, [one], CONTEXT);
  const read = (bytes: Uint8Array, context = CONTEXT) => {
    const opened = openSealed(bytes.subarray(0, 200), one);
    const end = bytes.length - sealTagBytes;
    const stream = opened.stream(context);
    const pieces = [bytes.subarray(opened.at, 500), bytes.subarray(500, end)].map((piece) =>
      stream.next(piece),
    );
    stream.end(bytes.subarray(end));
    return Buffer.concat(pieces);
  };
  expect(read(envelope).equals(plain)).toBe(true);
  expect(code(() => read(envelope, 'model 0x02'))).toBe('SEAL_BROKEN');
  const changed = Uint8Array.from(envelope, (byte, at) => (at === 600 ? byte ^ 1 : byte));
  expect(code(() => read(changed))).toBe('SEAL_BROKEN');
});

test('one recipient’s key does not open it under another’s name', () => {
  const [a, b] = [member('a'), member('b')];
  const envelope = seal(randomBytes(10), [a, b], CONTEXT);
  expect(code(() => unseal(envelope, { id: 'a', privateKey: b.privateKey }, CONTEXT))).toBe(
    'SEAL_NOT_FOR_YOU',
  );
});

test('it opens only for the context it was sealed for', () => {
  const one = member('a');
  const envelope = seal(randomBytes(10), [one], CONTEXT);
  for (const other of ['', 'model 0x02', `${CONTEXT} `, CONTEXT.slice(1)])
    expect(code(() => unseal(envelope, one, other))).toBe('SEAL_BROKEN');
});

test('a change of any byte is noticed by every recipient', () => {
  const members = [member('clinic-a'), member('b')];
  const envelope = seal(Buffer.from('small'), members, CONTEXT);
  for (const one of members)
    for (let at = 0; at < envelope.length; at++) {
      const altered = Uint8Array.from(envelope);
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
      expect(code(() => unseal(altered, one, CONTEXT))).toMatch(/^SEAL_(BROKEN|NOT_FOR_YOU)$/);
    }
});

test('anything cut off, added or made up is refused', () => {
  const one = member('a');
  const envelope = seal(Buffer.from('small'), [one], CONTEXT);
  for (let length = 0; length < envelope.length; length++)
    expect(code(() => unseal(envelope.subarray(0, length), one, CONTEXT))).toMatch(
      /^SEAL_(BROKEN|NOT_FOR_YOU)$/,
    );
  expect(code(() => unseal(Buffer.concat([envelope, Buffer.of(0)]), one, CONTEXT))).toBe('SEAL_BROKEN');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(code(() => unseal(bytes, one, CONTEXT))).toBe('SEAL_BROKEN');
      const prefixed = Buffer.concat([Buffer.from('RTSE\u0001\u0001\u0000'), bytes]);
      expect(code(() => unseal(prefixed, one, CONTEXT))).toMatch(/^SEAL_(BROKEN|NOT_FOR_YOU)$/);
    }),
  );
});

test('one plaintext sealed twice gives two envelopes that share no key', () => {
  const one = member('a');
  const [first, second] = [seal(Buffer.alloc(64), [one], CONTEXT), seal(Buffer.alloc(64), [one], CONTEXT)];
  expect(Buffer.from(first).subarray(-80).equals(Buffer.from(second).subarray(-80))).toBe(false);
  const mixed = Buffer.concat([Buffer.from(first).subarray(0, -80), Buffer.from(second).subarray(-80)]);
  expect(code(() => unseal(mixed, one, CONTEXT))).toBe('SEAL_BROKEN');
});

test('an envelope is as long as its format says', () => {
  const ids = ['a', 'bc'];
  const envelope = seal(randomBytes(1000), ids.map(member), CONTEXT);
  const slots = ids.reduce((sum, id) => sum + 1 + id.length + 48, 0);
  expect(envelope.length).toBe(4 + 1 + 2 + slots + 32 + 32 + 12 + 1000 + 16);
});

test('an envelope of version 1 is still opened', () => {
  const privateKey = Buffer.from(GOLDEN.privateKey, 'hex');
  const plain = unseal(Buffer.from(GOLDEN.envelope, 'hex'), { id: 'clinic', privateKey }, 'golden');
  expect(Buffer.from(plain).toString()).toBe('sealed once, opened for ever');
});

test('X25519 agrees as in RFC 7748, section 6.1', () => {
  const alice = hex(RFC7748.alice);
  expect(Buffer.from(x25519PublicKey(alice)).toString('hex')).toBe(RFC7748.alicePublic);
  expect(Buffer.from(agreeX25519(alice, hex(RFC7748.bobPublic))).toString('hex')).toBe(RFC7748.shared);
});

test('recipients that cannot be are refused', () => {
  const one = member('a');
  const wrong = [
    [],
    [one, one],
    [member('')],
    [member('x'.repeat(256))],
    [member('\ud800')],
    [{ ...one, publicKey: randomBytes(31) }],
    [{ ...one, publicKey: new Uint8Array(32) }],
    [{ ...one, publicKey: Uint8Array.of(1, ...new Uint8Array(31)) }],
  ];
  for (const recipients of wrong)
    expect(code(() => seal(Buffer.alloc(1), recipients, CONTEXT))).toBe('INVALID_INPUT');
  const envelope = seal(Buffer.alloc(1), [one], CONTEXT);
  expect(code(() => unseal(envelope, { id: 'a', privateKey: randomBytes(31) }, CONTEXT))).toBe(
    'INVALID_INPUT',
  );
});

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

const RFC7748 = {
  alice: '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
  alicePublic: '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
  bobPublic: 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
  shared: '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
};

/** Made by the first version of this code. */
const GOLDEN = {
  privateKey: '6845f228229bb428ad4112826e1aeaec4729c2cecef123be722bc3ab039d8e56',
  envelope: [
    '5254534501010006636c696e6963c8bb6d5f72d90406b0bb63bdfe17810bc180e0a9ccdd5e6e1597e21d2e00971c7b80',
    'ebd4113551fc796c7df273cb619a186654f73c6e6bc9ad591a814bee5af7013ff1f99de08a609f736dab1484d15d0ebe',
    '29a9ab4bcb643541df7a748e26b481ad35cad82f6acf94968cdf0d1511acd3144fa1f6f995b67365eca5c587e23df369',
    '0d838086ca3be9cf86db4f29491b609404aea322340bc6e48a28f71322b1249e174fafbcbcf9',
  ].join(''),
};
