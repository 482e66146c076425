import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { isRoundtableError } from '#core/errors.js';
import {
  checkGithubSignature,
  checkStandardSignature,
  parseStandardSignatures,
} from '#functions/webhook/signature.js';
import {
  githubHeaders,
  githubSecret,
  standardHeaders,
  standardSecret,
  standardSignature,
} from './webhooks.js';

const now = 1_614_265_330;
const refusal = (attempt: () => unknown): string => {
  try {
    attempt();
  } catch (error) {
    return isRoundtableError(error) ? error.code : String(error);
  }
  return 'accepted';
};

describe('GitHub', () => {
  test("accepts the example of GitHub's documentation", () => {
    const headers = new Headers({
      'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    });
    expect(
      refusal(() =>
        checkGithubSignature(headers, Buffer.from('Hello, World!'), ["It's a Secret to Everybody"]),
      ),
    ).toBe('accepted');
  });

  test('accepts either secret during a rotation, and none when there is none', () => {
    const body = Buffer.from('{}');
    const headers = new Headers(githubHeaders(body));
    expect(refusal(() => checkGithubSignature(headers, body, ['new', githubSecret]))).toBe('accepted');
    expect(refusal(() => checkGithubSignature(headers, body, ['new', 'newer']))).toBe('BAD_SIGNATURE');
    expect(refusal(() => checkGithubSignature(headers, body, []))).toBe('BAD_SIGNATURE');
  });

  test('one changed bit of the body is a bad signature', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), (body, at) => {
        const headers = new Headers(githubHeaders(body));
        expect(refusal(() => checkGithubSignature(headers, body, [githubSecret]))).toBe('accepted');
        const changed = Uint8Array.from(body);
        const bit = at % (8 * body.length);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(refusal(() => checkGithubSignature(headers, changed, [githubSecret]))).toBe('BAD_SIGNATURE');
      }),
    );
  });

  test('whatever else the header holds is refused, never an accident', () => {
    const header = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.string({ unit: fc.constantFrom(...'sha256=0123456789abcdefABCDEF, '), maxLength: 80 }),
    );
    fc.assert(
      fc.property(header, (value) => {
        const headers = new Headers();
        if (/^[\x21-\x7e]*$/.test(value)) headers.set('x-hub-signature-256', value);
        expect(['NOT_SIGNED', 'BAD_SIGNATURE']).toContain(
          refusal(() => checkGithubSignature(headers, Buffer.from('{}'), [githubSecret])),
        );
      }),
    );
  });
});

const check = (headers: Record<string, string>, body = '', secrets = [standardSecret], at = now) =>
  refusal(() => checkStandardSignature(new Headers(headers), Buffer.from(body), secrets, at));

test('accepts the example of the specification’s reference library', () => {
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  expect(check(headers, '{"test": 2432232314}', ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'])).toBe('accepted');
});

describe('Standard Webhooks', () => {
  test('accepts one right signature among several versions', () => {
    const body = '{}';
    const right = standardSignature(standardSecret, 'msg_1', now, body);
    const other = standardSignature(`whsec_${randomBytes(32).toString('base64')}`, 'msg_1', now, body);
    const headers = standardHeaders(body, { timestamp: now });
    for (const list of [`${other} ${right}`, `v1a,hnO3f9T8= ${right} v2,x`, `  ${right}`])
      expect(check({ ...headers, 'webhook-signature': list }, body)).toBe('accepted');
    for (const list of [other, right.replace('v1', 'v2'), `${right.slice(0, -2)}=`, `${right},${right}`])
      expect(check({ ...headers, 'webhook-signature': list }, body)).toMatch(/NOT_SIGNED|BAD_SIGNATURE/);
  });

  test('accepts a clock five minutes off, not more, in either direction', () => {
    const headers = standardHeaders('{}', { timestamp: now });
    expect([-301, -300, 300, 301].map((off) => check(headers, '{}', [standardSecret], now + off))).toEqual([
      'TOO_OLD',
      'accepted',
      'accepted',
      'TOO_OLD',
    ]);
  });

  test('id, time and body are covered by the signature', () => {
    const headers = standardHeaders('{}', { timestamp: now });
    expect(check({ ...headers, 'webhook-id': 'msg_2' }, '{}')).toBe('BAD_SIGNATURE');
    expect(check({ ...headers, 'webhook-timestamp': String(now + 1) }, '{}')).toBe('BAD_SIGNATURE');
    expect(check(headers, '{ }')).toBe('BAD_SIGNATURE');
  });

  test.each([
    ['an id with a full stop', { 'webhook-id': 'msg.1' }],
    ['no id', { 'webhook-id': '' }],
    ['a time that is no number', { 'webhook-timestamp': 'yesterday' }],
    ['a negative time', { 'webhook-timestamp': '-1' }],
    ['a time with a fraction', { 'webhook-timestamp': '1614265330.5' }],
    ['an endless list of signatures', { 'webhook-signature': 'v1,x '.repeat(1_000) }],
    ['no signature', { 'webhook-signature': '' }],
  ])('%s is not signed', (_, changes) => {
    expect(check({ ...standardHeaders('{}', { timestamp: now }), ...changes }, '{}')).toBe('NOT_SIGNED');
  });

  test('the parser of signatures takes exactly the well-formed v1 entries', () => {
    const good = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
    const junk = fc.string({ unit: fc.constantFrom(...'v12a,=+/AZaz09'), maxLength: 30 });
    fc.assert(
      fc.property(fc.array(fc.oneof(good, junk), { maxLength: 12 }), (entries) => {
        const written = entries.map((entry) =>
          typeof entry === 'string' ? entry : `v1,${entry.toString('base64')}`,
        );
        expect(parseStandardSignatures(written.join(' '))).toEqual(
          entries.filter((entry) => typeof entry !== 'string'),
        );
      }),
    );
  });
});
