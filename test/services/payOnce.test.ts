import { afterAll, expect, test } from '@jest/globals';
import { startPayRuns, type PayRun } from './payRun.js';

/**
 * PAY_RUNS epochs beginning with seed PAY_SEED: `PAY_RUNS=1000 npm run jest -- payOnce` plays a thousand,
 * `PAY_RUNS=1 PAY_SEED=17 npm run jest -- payOnce` repeats one.
 */
const runs = Number(process.env['PAY_RUNS'] ?? 150);
const first = Number(process.env['PAY_SEED'] ?? 1);

/** Epochs that one chain serves: after some thousand blocks anvil answers from states that it has put aside wrongly. */
const aChain = 40;

let pay: PayRun | undefined;
afterAll(() => pay?.stop());

test(
  `in ${runs} epochs with faults everybody is paid exactly once, and no unit is lost`,
  async () => {
    const faults = new Set<string>();
    for (let done = 0; done < runs; done += aChain) {
      pay = await startPayRuns();
      const last = first + Math.min(runs, done + aChain);
      for (let seed = first + done; seed < last; seed += 1) await pay.run(seed);
      for (const fault of pay.faults.keys()) faults.add(fault);
      await pay.stop();
      pay = undefined;
    }
    if (runs >= 100) expect([...faults].sort()).toEqual(allFaults);
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
