import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { openLog } from '#services/log.js';
import { redact } from '#services/redaction.js';

const key = `0x${'ab'.repeat(32)}`;

describe('redaction takes out', () => {
  test.each([
    ['a PEM key', `x -----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY----- y`, 'MHcCAQ'],
    ['a PEM key that was cut off', '-----BEGIN PRIVATE KEY-----\\nMHcCAQ', 'MHcCAQ'],
    ["a webhook's secret", 'secret whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD was used', 'C2FVsB'],
    ['a bearer', 'authorization: Bearer abcDEF123456', 'abcDEF123456'],
    ['the signature of a request', `Roundtable address=0x1, signature=0x${'12'.repeat(65)}`, '1212'],
    ['the password of a URL', 'https://user:hunter2@node.example.org/', 'hunter2'],
    ['the query of a URL', 'GET https://s3.example.org/b/k?X-Amz-Signature=f00d&x=1 failed', 'f00d'],
    [
      "a chain provider's key in a path",
      'https://eth.example.org/v2/Zk3f9aQ0bLm7xYtR2sUvW1cD4eF5gH6i',
      'Zk3f9aQ0',
    ],
    ['a field that is named secret', JSON.stringify({ coordinatorSecret: 'xyz"zy' }), 'zy'],
    ['a list of secrets', JSON.stringify({ secrets: ['one', 'two'], b: 1 }), 'two'],
    [
      'a private key in JSON within JSON',
      JSON.stringify({ msg: JSON.stringify({ privateKey: key }) }),
      'abab',
    ],
  ])('%s', (_, text, hidden) => {
    expect(text).toContain(hidden);
    expect(redact(text)).not.toContain(hidden);
  });
});

test('it leaves what people look for: ids, hashes, addresses, plain URLs', () => {
  for (const text of [
    `job ${key}`,
    `http://127.0.0.1:4566/bucket/${'ab'.repeat(32)}`,
    `https://arweave.example.org/${'aB3_'.repeat(10)}xyz`,
    JSON.stringify({ token: `0x${'cd'.repeat(20)}`, runner: 'north-1', publicKey: key }),
    'wss://node.example.org/',
  ])
    expect(redact(text)).toBe(text);
});

test('whatever is redacted once stays as it is', () => {
  fc.assert(
    fc.property(fc.string(), fc.webUrl({ withQueryParameters: true }), (text, url) => {
      const once = redact(`${text} ${url}`);
      expect(redact(once)).toBe(once);
    }),
  );
});

test('a log line is JSON after redaction, with part, level, time and the error’s code', async () => {
  const stream = new PassThrough();
  const lines: string[] = [];
  stream.on('data', (piece) => lines.push(String(piece)));
  const log = openLog('test', 'info', stream);
  const cause = Object.assign(new Error('GET https://me:pw@node.example.org/?key=1 failed'), {
    code: 'ECONNRESET',
  });
  log.warn({ err: cause, apiKey: 'k-123', job: key }, 'it failed');
  log.debug({}, 'nobody sees this');
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(/pw@|key=1|k-123/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'warn',
    part: 'test',
    time: expect.stringMatching(/^\d{4}-/),
    job: key,
    apiKey: '[redacted]',
    err: { code: 'ECONNRESET' },
    msg: 'it failed',
  });
});
