import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { faults } from './support/faultyFunctions.js';
import { startEventRun, type EventRun } from './support/eventRun.js';

/**
 * EVENT_DELIVERIES webhooks from seed EVENT_SEED: `EVENT_DELIVERIES=10000 npm run jest -- eventPath` is the full load.
 * The bundles are those that are deployed; each runs in a process that is killed when its time is up.
 */
const deliveries = Number(process.env['EVENT_DELIVERIES'] ?? 300);
const seed = Number(process.env['EVENT_SEED'] ?? 1);
const patience = 240_000 + 90 * deliveries;

let run: EventRun;
beforeAll(async () => {
  run = await startEventRun({ deliveries, seed });
}, 180_000);
afterAll(async () => {
  process.stdout.write(`${JSON.stringify(run?.report())}\n`);
  await run?.stop();
}, 60_000);

describe(`${deliveries} webhooks, functions that crash, and queues that forget everything once`, () => {
  test(
    'each good delivery makes exactly one job, a repeated one none, a forged one is refused',
    async () => {
      await run.deliver();
      const jobs = await run.untilDispatched();
      expect(jobs.rows).toEqual(jobs.expected);
      expect(jobs.workflows).toEqual(jobs.expected);
      const { good, repeated, forged } = run.report().answers;
      expect(good).toEqual({ 202: expect.any(Number) });
      expect(repeated).toEqual({ 202: expect.any(Number) });
      expect(forged).toEqual({ 401: expect.any(Number) });
    },
    patience,
  );

  test(
    'each contribution is credited once',
    async () => {
      const { credited, expected } = await run.untilCredited();
      expect(credited).toEqual(expected);
    },
    patience,
  );

  test('each fault has happened', () => {
    const { happened } = run.report();
    for (const fault of faults)
      expect(Object.keys(happened).filter((name) => name.endsWith(fault))).not.toEqual([]);
  });

  test(
    'what cannot be processed lies in the dead-letter queue with its reason',
    async () => {
      const letters = await run.untilDead();
      expect(letters.noJson).toMatchObject({
        code: 'INVALID_INPUT',
        reason: expect.stringContaining('JSON'),
      });
      expect(letters.unknownJob).toMatchObject({ code: 'NOT_FOUND', deliveries: 5 });
      expect(letters.contradiction).toMatchObject({ code: 'CONFLICT', deliveries: 5 });
      expect(letters.deadly).toMatchObject({
        code: null,
        reason: expect.stringContaining('ended or ran out of time'),
      });
    },
    patience,
  );

  test(
    '`roundtable queue redrive` brings it back once the cause is gone',
    async () => {
      const after = await run.mendAndRedrive();
      expect(after.unknownJobStarted).toBe(true);
      expect(after.deadlyCredited).toBe(true);
      // Nothing can mend these two: they lie there again.
      expect(after.left).toEqual({ jobs: [run.poison.noJson], credits: [run.poison.contradiction] });
    },
    patience,
  );

  test(
    'and nothing was started or credited twice by all that',
    async () => {
      const jobs = await run.untilDispatched();
      expect(jobs.workflows).toEqual(jobs.expected);
      const { credited, expected } = await run.untilCredited();
      expect(credited).toEqual(expected);
    },
    patience,
  );
});
