import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  afterCollecting,
  budget,
  forget,
  killPart,
  killTrainingChild,
  runScenario,
  whileCollecting,
  type Outcome,
} from './laboratory.js';

/** Every process of a stack, killed twice: while updates come in, and while they are added up and anchored. */
const victims = [
  { name: 'the Temporal server', kill: killPart('temporal') },
  { name: 'the workflow worker', kill: killPart('worker') },
  { name: 'a runner', kill: killPart('runner-north-2') },
  { name: "a runner's training child", kill: killTrainingChild('runner-north-2') },
  { name: 'the gatekeeper', kill: killPart('gatekeeper') },
  { name: 'the API', kill: killPart('api') },
  { name: 'the event poller', kill: killPart('events') },
  { name: 'the chain', kill: killPart('chain') },
  { name: 'the Arweave gateway', kill: killPart('gateway') },
];

let undisturbed: (Outcome & { state: string }) | undefined;
beforeAll(async () => {
  undisturbed = await runScenario({ faults: [] });
}, 180_000);
afterAll(() => {
  if (undisturbed) forget(undisturbed.state);
});

test('an undisturbed job pays out its whole budget', () => {
  expect(undisturbed?.job.state).toBe('done');
  expect(total(undisturbed?.paid ?? {})).toBe(budget);
});

describe('kill -9 in the middle of a round', () => {
  test.each(victims)(
    'of $name: the job ends at the same bits, and everybody is paid once',
    async ({ kill }) => {
      if (!undisturbed) throw new Error('there is nothing to compare with');
      const outcome = await runScenario({
        keys: undisturbed.state,
        faults: [
          { at: whileCollecting(2), break: kill },
          { at: afterCollecting(3), break: kill },
        ],
      });
      forget(outcome.state);
      expect(outcome.broken).toBe(2);
      expect(outcome.job.state).toBe('done');
      expect(outcome.job.version?.versionId).toBe(undisturbed.job.version?.versionId);
      expect(outcome.rounds.map(({ version }) => version?.paramsRoot)).toEqual(
        undisturbed.rounds.map(({ version }) => version?.paramsRoot),
      );
      expect(outcome.paid).toEqual(undisturbed.paid);
    },
    240_000,
  );
});

function total(paid: Record<string, bigint>): bigint {
  return Object.values(paid).reduce((sum, amount) => sum + amount, 0n);
}
