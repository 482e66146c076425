import { ApplicationFailure } from '@temporalio/workflow';
import type { SignedSealList, TrainSeal } from '#core/messages.js';
import type { Outcome } from './ask.workflow.js';
import { gather, median, type Outcomes } from './gather.workflow.js';
import { coordinator } from './proxies.workflow.js';
import type { RoundInput, Selection } from './types.js';

export interface Sealed {
  /** Admitted seals, ascending by runner. */
  seals: TrainSeal[];
  list: SignedSealList;
  /** Of those that sealed nothing: why. */
  missing: Outcomes;
  /**
   * Grace to reveal in, ms: as long as it had to seal in. To reveal is quick, and a runner that starts anew meanwhile would
   * otherwise lose the round's work to an upload that the others made in a moment.
   */
  leastGrace: number;
}

/**
 * The first half of a round whose runners seal first: every runner's seal, under the round's quorum, grace and deadline, and
 * the coordinator's signature that these are all.
 */
export async function collectSeals(
  input: RoundInput,
  { opening, quorum }: Selection,
  report: (outcomes: Outcomes) => Promise<void>,
): Promise<Sealed> {
  const { graceFactor } = input.prepared.spec.participants;
  const runners = opening.selection.map(({ runner }) => runner);
  const { outcomes, seconds, end } = await gather({
    asking: { round: input, opening, started: Date.now() },
    runners,
    quorum,
    counts: isSeal,
    graceFactor,
    leastGrace: 0,
    report,
  });
  end();
  const waited = seconds.toFixed(1);
  const seals: TrainSeal[] = [];
  const missing: Outcomes = new Map();
  for (const runner of runners) {
    const outcome = outcomes.get(runner) ?? {
      code: 'late',
      reason: `no seal within ${waited} s; the round went on without it`,
    };
    if ('seal' in outcome) seals.push(outcome.seal);
    else missing.set(runner, outcome);
  }
  if (seals.length < quorum)
    throw ApplicationFailure.nonRetryable(
      `Round ${input.round} has the seals of ${seals.length} of the ${quorum} updates it needs after ${waited} s. Missing: ` +
        [...missing].map(([runner, outcome]) => `${runner}: ${reasonOf(outcome)}`).join('; '),
      'QUORUM_NOT_REACHED',
    );
  const leastGrace = graceFactor * median([...outcomes.values()].filter(isSeal));
  return { seals, list: await coordinator.signSeals({ opening, seals }), missing, leastGrace };
}

const isSeal = (outcome: Outcome): boolean => 'seal' in outcome;
const reasonOf = (outcome: Outcome): string => ('reason' in outcome ? outcome.reason : '');
