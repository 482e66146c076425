import { CancellationScope, condition } from '@temporalio/workflow';
import { askAll, type Asking, type Outcome } from './ask.workflow.js';

/** What became of each runner that was asked; whoever is not in it has said nothing that counts. */
export type Outcomes = Map<string, Outcome>;

export interface Gathering {
  asking: Asking;
  /** Who is asked. */
  runners: readonly `0x${string}`[];
  quorum: number;
  /** Whether an outcome counts for the quorum. */
  counts: (outcome: Outcome) => boolean;
  /** A slow runner has until this many times the median of those who made the quorum, counted from the start. */
  graceFactor: number;
  /** Grace that it has in any case, ms. */
  leastGrace: number;
  /** Told now and then what has come, not of every arrival. */
  report: (outcomes: Outcomes) => Promise<void>;
}

/** Fast rounds are not held up by telling every arrival. */
const REPORT_MS = 500;
/** A report holds every runner, and a round of many takes longer: told at the same pace, reports would outgrow it. */
const REPORT_MS_PER_RUNNER = 5;

interface Gathered {
  outcomes: Outcomes;
  /** How long it took. */
  seconds: number;
  /**
   * Cancels the activities of those that are late; to be called at once. Not done here: histories were recorded with these
   * cancellations behind the next command of whoever gathers.
   */
  end: () => void;
}

/**
 * Asks runners at once and returns when the quorum and its grace period, all of them, or the job's deadline has come.
 * Whoever is late costs the round nothing: its activity is cancelled and what it still says is dropped.
 */
export async function gather(gathering: Gathering): Promise<Gathered> {
  const { asking, runners, quorum, counts, graceFactor, leastGrace, report } = gathering;
  const outcomes: Outcomes = new Map();
  const { started } = asking;
  const deadline = started + asking.round.prepared.spec.participants.deadlineSeconds * 1000;
  const arrived = () => [...outcomes.values()].filter(counts);
  const settled = () => outcomes.size === runners.length;
  const enough = () => arrived().length >= quorum;
  let open = true;

  const scope = new CancellationScope();
  void scope.run(() =>
    askAll(asking, (told) => {
      if (open) for (const [runner, outcome] of told) outcomes.set(runner, outcome);
    }),
  );

  const pause = Math.max(REPORT_MS, REPORT_MS_PER_RUNNER * runners.length);
  let reported = -1;
  let reportAt = 0;
  const progress = async () => {
    if (reported === outcomes.size || Date.now() < reportAt) return;
    reported = outcomes.size;
    reportAt = Date.now() + pause;
    await report(outcomes);
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
  if (!settled() && enough()) {
    const grace = Math.max(leastGrace, graceFactor * median(arrived()));
    await until(settled, Math.min(deadline, started + grace));
  }
  open = false;
  return { outcomes, seconds: (Date.now() - started) / 1000, end: () => scope.cancel() };
}

/** The lower median of the times that runners took, ms; 0 for none. */
export function median(outcomes: readonly Outcome[]): number {
  const times = outcomes
    .flatMap((outcome) => ('after' in outcome ? [outcome.after] : []))
    .sort((a, b) => a - b);
  return times[Math.floor((times.length - 1) / 2)] ?? 0;
}
