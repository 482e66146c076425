import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startPayRuns, type PayRun } from './payRun.js';

/**
 * PAY_RUNS epochs beginning with seed PAY_SEED: `PAY_RUNS=1000 npm run jest -- payOnce` plays a thousand,
 * `PAY_RUNS=1 PAY_SEED=17 npm run jest -- payOnce` repeats one.
 */
const runs = Number(process.env['PAY_RUNS'] ?? 150);
const first = Number(process.env['PAY_SEED'] ?? 1);

let pay: PayRun;
beforeAll(async () => {
  pay = await startPayRuns();
});
afterAll(() => pay.stop());

test(
  `in ${runs} epochs with faults everybody is paid exactly once, and no unit is lost`,
  async () => {
    for (let seed = first; seed < first + runs; seed += 1) await pay.run(seed);
    if (runs >= 100) expect([...pay.faults.keys()].sort()).toEqual(allFaults);
  },
  60_000 + 3_000 * runs,
);

const allFaults = [
  'dear',
  'delayed',
  'dropped',
  'frozen',
  'hidden',
  'killed',
  'miscounted',
  'refused',
  'reorganised',
  'repeated',
  'stalled',
];
