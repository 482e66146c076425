import type { JobView, RoundView, RunnerView } from '#core/views.js';

/**
 * What happens while a stack comes up and a job runs, as the live view, the plain lines and the JSON lines show
 * it. `local` emits the first group, the follower of a job (follow.ts) the second.
 */
export type StackEvent =
  /** A part (one process or service of the stack) begins to start. */
  | { type: 'part-starting'; part: string; what: string }
  /** It answers; `detail` is where it listens or what it found. */
  | { type: 'part-ready'; part: string; seconds: number; detail: string | null }
  | { type: 'part-failed'; part: string; reason: string; log: string | null }
  /** Finding, fetching or building the Temporal server, which may take minutes the first time. */
  | { type: 'temporal-build'; step: string; elapsedSeconds: number; expectedSeconds: number | null }
  /** Anything done that is no part: contracts deployed, data split, a runner switched off. */
  | { type: 'note'; text: string }
  | { type: 'webhook-sent'; trigger: string; delivery: string; status: number; job: string | null }
  /** Sent by the follower: the job row as it is now; the first one introduces the job. */
  | { type: 'job'; job: JobView }
  | { type: 'round'; job: JobView; round: RoundView; runners: readonly RunnerView[] }
  /** The job reached a final state. */
  | { type: 'job-finished'; job: JobView }
  | {
      type: 'claimed';
      runner: string;
      account: string;
      /** In the token's smallest unit. */
      amount: string;
      transaction: string | null;
      gas: number | null;
    };

export type Emit = (event: StackEvent) => void;
