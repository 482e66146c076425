import type { JobView, RoundView, RunnerView } from '#core/views.js';
import type { StackEvent } from './events.js';

/** What the live region and the plain lines need to remember between events. */
export interface ProgressState {
  /** Parts that are starting, with the time each began (milliseconds). */
  readonly starting: ReadonlyMap<string, { what: string; since: number }>;
  readonly temporal: Extract<StackEvent, { type: 'temporal-build' }> | null;
  readonly job: JobView | null;
  /** The round in progress. */
  readonly round: RoundView | null;
  readonly runners: ReadonlyMap<string, RunnerView>;
  /** Rounds whose end was shown already. */
  readonly ended: ReadonlySet<string>;
}

export const initialState: ProgressState = {
  starting: new Map(),
  temporal: null,
  job: null,
  round: null,
  runners: new Map(),
  ended: new Set(),
};

/** @param now milliseconds since 1970 */
export function reduce(state: ProgressState, event: StackEvent, now: number): ProgressState {
  switch (event.type) {
    case 'part-starting':
      return {
        ...state,
        starting: new Map(state.starting).set(event.part, { what: event.what, since: now }),
      };
    case 'part-ready':
    case 'part-failed': {
      const starting = new Map(state.starting);
      starting.delete(event.part);
      return { ...state, starting, temporal: event.part === 'temporal' ? null : state.temporal };
    }
    case 'temporal-build':
      return { ...state, temporal: event };
    case 'job':
      return { ...state, job: event.job };
    case 'round': {
      const ended = roundEnded(event.round);
      return {
        ...state,
        job: event.job,
        round: ended ? null : event.round,
        runners: new Map(event.runners.map((runner) => [runner.runner, runner])),
        ended: ended ? new Set(state.ended).add(roundKey(event.round)) : state.ended,
      };
    }
    case 'job-finished':
      return { ...state, job: event.job, round: null };
    default:
      return state;
  }
}

export function roundEnded(round: RoundView): boolean {
  return round.phase === 'done' || round.phase === 'failed';
}

export function roundKey(round: RoundView): string {
  return `${round.job}/${round.round}`;
}

/** A runner's name, or the start of its address while nothing has been heard of it. */
export function runnerName(runners: ReadonlyMap<string, RunnerView>, runner: string): string {
  return runners.get(runner)?.name ?? runner.slice(0, 10);
}
