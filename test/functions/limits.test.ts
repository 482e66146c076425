import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { RateLimit } from '#functions/limits.js';

test('the window slides: what was used a moment ago counts, what was used two minutes ago does not', () => {
  const limit = new RateLimit('requests', 10);
  const minute = 60_000 * 1_000;
  for (let i = 0; i < 10; i++) limit.take('a', minute + 59_000);
  expect(() => limit.take('a', minute + 61_000)).toThrow('10 requests in a minute');
  limit.take('a', minute + 60_000 + 30_000);
  limit.take('a', minute + 3 * 60_000);
  expect(() => limit.take('b', minute)).not.toThrow();
});

test('senders without end cost no memory without end', () => {
  const limit = new RateLimit('requests', 1, 100);
  for (let i = 0; i < 10_000; i++) limit.take(randomBytes(8).toString('hex'));
  expect(() => limit.take('again')).not.toThrow();
});
