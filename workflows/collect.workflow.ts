import { ApplicationFailure, CancellationScope, condition, patched } from '@temporalio/workflow';
import type { MissingRunner, TrainUpdate } from '#core/messages.js';
import type { ParticipantView } from '#core/views.js';
import { askAll, type Outcome } from './ask.workflow.js';
import { coordinator } from './proxies.workflow.js';
import type { RoundInput, Selection } from './types.js';

export interface Collected {
  /** Admitted updates, ascending by runner. */
  updates: TrainUpdate[];
  participants: ParticipantView[];
  missing: MissingRunner[];
}

/** Fast rounds are not held up by telling every arrival. */
const REPORT_MS = 500;
/** A report holds every runner, and a round of many takes longer: told at the same pace, reports would outgrow it. */
const REPORT_MS_PER_RUNNER = 5;

/**
 * Asks every selected runner at once and returns when the quorum and its grace period, all of them, or the
 * deadline has come. Only updates that were checked count. Whoever is late costs the round nothing: its
 * activity is cancelled and what it still says is dropped.
 */
export async function collectUpdates(
  input: RoundInput,
  selection: Selection,
  report: (participants: ParticipantView[], missing: MissingRunner[]) => Promise<void>,
): Promise<Collected> {
  const { participants: rules } = input.prepared.spec;
  const runners = selection.opening.selection.map(({ runner }) => runner);
  const outcomes = new Map<string, Outcome>();
  const started = Date.now();
  const deadline = started + rules.deadlineSeconds * 1000;
  const arrived = () => [...outcomes.values()].filter((outcome) => 'update' in outcome);
  const settled = () => outcomes.size === runners.length;
  const enough = () => arrived().length >= selection.quorum;
  let open = true;

  const scope = new CancellationScope();
  void scope.run(() =>
    askAll({ round: input, opening: selection.opening, started }, (arrived) => {
      if (open) for (const [runner, outcome] of arrived) outcomes.set(runner, outcome);
    }),
  );

  const pause = Math.max(REPORT_MS, REPORT_MS_PER_RUNNER * runners.length);
  let reported = -1;
  let reportAt = 0;
  const progress = async () => {
    if (reported === outcomes.size || Date.now() < reportAt) return;
    reported = outcomes.size;
    reportAt = Date.now() + pause;
    await report(view(runners, outcomes), [...selection.missing, ...missingOf(runners, outcomes)]);
  };
  const until = async (done: () => boolean, time: number) => {
    while (!done() && Date.now() < time) {
      await progress();
      const seen = outcomes.size;
      const next = reported < seen ? Math.min(time, reportAt) : time;
      await condition(() => done() || outcomes.size > seen, Math.max(1, next - Date.now()));
    }
  };

  await until(() => enough() || settled(), deadline);
  if (!settled() && enough())
    await until(settled, Math.min(deadline, started + grace(arrived(), rules.graceFactor)));
  open = false;
  scope.cancel();

  const waited = ((Date.now() - started) / 1000).toFixed(1);
  for (const runner of runners)
    if (!outcomes.has(runner))
      outcomes.set(runner, {
        code: 'late',
        reason: `no update within ${waited} s; the round went on without it`,
      });
  const missing = [...selection.missing, ...missingOf(runners, outcomes)];
  const updates = runners.flatMap((runner) => {
    const outcome = outcomes.get(runner);
    return outcome && 'update' in outcome ? [outcome.update] : [];
  });
  if (updates.length < selection.quorum) {
    // Whoever did its work is paid for it although the round dies (contracts/ReceiptJudge.sol).
    if (updates.length > 0 && patched('receipts of dead rounds'))
      await coordinator.signReceipts({ opening: selection.opening, updates });
    throw ApplicationFailure.nonRetryable(
      `Round ${input.round} has ${updates.length} of the ${selection.quorum} updates it needs after ${waited} s. Missing: ` +
        missing.map(({ runner, reason }) => `${runner}: ${reason}`).join('; '),
      'QUORUM_NOT_REACHED',
    );
  }
  return { updates, participants: view(runners, outcomes), missing };
}

/** A slow runner has until `factor` times the median of those who made the quorum, counted from the start. */
function grace(arrived: readonly Outcome[], factor: number): number {
  const times = arrived
    .flatMap((outcome) => ('after' in outcome ? [outcome.after] : []))
    .sort((a, b) => a - b);
  return factor * (times[Math.floor((times.length - 1) / 2)] ?? 0);
}

function view(runners: readonly `0x${string}`[], outcomes: ReadonlyMap<string, Outcome>): ParticipantView[] {
  return runners.map((runner) => {
    const outcome = outcomes.get(runner);
    if (!outcome || !('update' in outcome))
      return {
        runner,
        state: outcome ? 'missing' : 'asked',
        samples: null,
        loss: null,
        seconds: null,
        bytes: null,
      };
    const { samples, loss, seconds, bytes } = outcome.update;
    return { runner, state: 'done', samples, loss, seconds, bytes };
  });
}

function missingOf(
  runners: readonly `0x${string}`[],
  outcomes: ReadonlyMap<string, Outcome>,
): MissingRunner[] {
  return runners.flatMap((runner) => {
    const outcome = outcomes.get(runner);
    return outcome && 'code' in outcome ? [{ runner, code: outcome.code, reason: outcome.reason }] : [];
  });
}
