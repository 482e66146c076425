import { ApplicationFailure, patched } from '@temporalio/workflow';
import type { MissingRunner, SignedSealList, TrainUpdate } from '#core/messages.js';
import type { ParticipantView } from '#core/views.js';
import type { Outcome } from './ask.workflow.js';
import { gather, type Outcomes } from './gather.workflow.js';
import { coordinator } from './proxies.workflow.js';
import { collectSeals } from './seals.workflow.js';
import type { RoundInput, Selection } from './types.js';

export interface Collected {
  /** Admitted updates, ascending by runner. */
  updates: TrainUpdate[];
  participants: ParticipantView[];
  missing: MissingRunner[];
  /** Where the job's runners seal first. */
  seals?: SignedSealList;
}

type Report = (participants: ParticipantView[], missing: MissingRunner[]) => Promise<void>;

/**
 * Asks every selected runner at once for its update; where the job has them seal first, for their seals, and then those
 * that sealed. Only updates that were checked count.
 */
export async function collectUpdates(
  input: RoundInput,
  selection: Selection,
  report: Report,
): Promise<Collected> {
  const { participants: rules, sealFirst } = input.prepared.spec;
  const { opening, quorum } = selection;
  const runners = opening.selection.map(({ runner }) => runner);
  const viewOf = (outcomes: Outcomes) => ({
    participants: view(runners, outcomes),
    missing: [...selection.missing, ...missingOf(runners, outcomes)],
  });
  const tell = (outcomes: Outcomes) => {
    const { participants, missing } = viewOf(outcomes);
    return report(participants, missing);
  };

  const sealed = sealFirst ? await collectSeals(input, selection, tell) : null;
  const asked = sealed ? sealed.seals.map(({ runner }) => runner) : runners;
  const before: Outcomes = sealed?.missing ?? new Map<string, Outcome>();
  const {
    outcomes: given,
    seconds,
    end,
  } = await gather({
    asking: {
      round: input,
      opening,
      started: Date.now(),
      ...(sealed && { reveal: { list: sealed.list, seals: sealed.seals } }),
    },
    runners: asked,
    quorum,
    counts: (outcome) => 'update' in outcome,
    graceFactor: rules.graceFactor,
    leastGrace: sealed?.leastGrace ?? 0,
    report: (some) => tell(new Map([...before, ...some])),
  });
  end();
  const waited = seconds.toFixed(1);
  for (const runner of asked)
    if (!given.has(runner))
      given.set(runner, {
        code: 'late',
        reason: `no update within ${waited} s; the round went on without it`,
      });
  const outcomes: Outcomes = new Map([...before, ...(sealed ? unrevealed(given) : given)]);
  const { participants, missing } = viewOf(outcomes);
  const updates = runners.flatMap((runner) => {
    const outcome = outcomes.get(runner);
    return outcome && 'update' in outcome ? [outcome.update] : [];
  });
  if (updates.length < quorum) {
    // Whoever did its work is paid for it although the round dies (contracts/ReceiptJudge.sol).
    if (updates.length > 0 && patched('receipts of dead rounds'))
      await coordinator.signReceipts({ opening, updates });
    throw tooFew(input.round, updates.length, quorum, waited, missing);
  }
  return { updates, participants, missing, ...(sealed && { seals: sealed.list }) };
}

/** @param waited seconds */
function tooFew(
  round: number,
  updates: number,
  quorum: number,
  waited: string,
  missing: readonly MissingRunner[],
): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `Round ${round} has ${updates} of the ${quorum} updates it needs after ${waited} s. Missing: ` +
      missing.map(({ runner, reason }) => `${runner}: ${reason}`).join('; '),
    'QUORUM_NOT_REACHED',
  );
}

/** Who sealed and is missing all the same: the round's record says so. */
function unrevealed(outcomes: Outcomes): Outcomes {
  return new Map(
    [...outcomes].map(([runner, outcome]) => [
      runner,
      'code' in outcome ? { ...outcome, reason: `sealed an update, and then: ${outcome.reason}` } : outcome,
    ]),
  );
}

function view(runners: readonly `0x${string}`[], outcomes: Outcomes): ParticipantView[] {
  return runners.map((runner) => {
    const outcome = outcomes.get(runner);
    if (outcome && 'update' in outcome) {
      const { samples, loss, seconds, bytes } = outcome.update;
      return { runner, state: 'done', samples, loss, seconds, bytes };
    }
    const isMissing = outcome && 'code' in outcome;
    return {
      runner,
      state: isMissing ? 'missing' : 'asked',
      samples: null,
      loss: null,
      seconds: null,
      bytes: null,
    };
  });
}

function missingOf(runners: readonly `0x${string}`[], outcomes: Outcomes): MissingRunner[] {
  return runners.flatMap((runner) => {
    const outcome = outcomes.get(runner);
    return outcome && 'code' in outcome ? [{ runner, code: outcome.code, reason: outcome.reason }] : [];
  });
}
