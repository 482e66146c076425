import { Context } from '@temporalio/activity';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { jobOfWorkflow } from '#core/names.js';
import type { TransactionRecord } from '#core/messages.js';
import { finalJobStates, type RoundView } from '#core/views.js';
import type { Telemetry } from '#services/telemetry/telemetry.js';
import type { SpanPlace } from '#services/telemetry/traceIds.js';
import { codeOf, type SpanAttributes } from '#services/telemetry/traces.js';
import type { ChainActivities, CoordinatorActivities, EpochPlan } from './types.js';

/**
 * Traces and metrics of a stack's own activities. A round's own span follows from its last projection, so workflows
 * know nothing of this and their histories stay as they are.
 */
export function observingInterceptor({ traces, metrics }: Telemetry): ActivityInboundCallsInterceptor {
  const onSuccess: { [Name in Activity]?: (given: Given<Name>, answer: Answer<Name>) => void } = {
    projectJob: (view) => {
      if (finalJobStates.includes(view.state)) metrics.record('jobs_ended', { state: view.state });
    },
    projectRound: (view) => {
      if (view.phase !== 'done' && view.phase !== 'failed') return;
      traces.record(roundSpan(view));
      metrics.record('rounds_ended', { phase: view.phase });
      if (view.phase === 'failed') return;
      for (const [part, seconds] of Object.entries(view.seconds))
        metrics.record('round_seconds', { part }, seconds);
      for (const { code } of view.missing) metrics.record('runners_missing', { code });
    },
  };

  return {
    async execute(input, next) {
      const { activityType, workflowExecution, attempt } = Context.current().info;
      const start = Date.now();
      const record = (about: { answer?: unknown; failure?: string }): void => {
        if (activityType.startsWith('project')) return;
        const places = placesOf(workflowExecution?.workflowId ?? '', [input.args[0], about.answer]);
        const attributes = { attempt, ...transactionAttributes(about.answer) };
        const failed = about.failure === undefined ? {} : { failure: about.failure };
        for (const of of places)
          traces.record({ name: activityType, of, start, end: Date.now(), attributes, ...failed });
      };
      try {
        const answer = await next(input);
        // An activity was called with what its workflow gave it: its own parameters.
        (onSuccess[activityType as Activity] as ((given: unknown, answer: unknown) => void) | undefined)?.(
          input.args[0],
          answer,
        );
        for (const { purpose, gas } of transactionsOf(answer)) {
          metrics.record('transactions', { purpose });
          metrics.record('gas', { purpose }, gas);
        }
        record({ answer });
        return answer;
      } catch (error) {
        record({ failure: codeOf(error) });
        throw error;
      }
    },
  };
}

type Activities = CoordinatorActivities & ChainActivities;
type Activity = keyof Activities;
type Given<Name extends Activity> = Parameters<Activities[Name]>[0];
type Answer<Name extends Activity> = Awaited<ReturnType<Activities[Name]>>;

function roundSpan({ job, round, startedAt, updatedAt, phase, participants, missing, problem }: RoundView) {
  return {
    name: 'round',
    of: { job, round },
    heads: true,
    start: Date.parse(startedAt),
    end: Date.parse(updatedAt),
    attributes: { phase, participants: participants.length, missing: missing.length },
    ...(problem === null ? {} : { failure: problem.code }),
  };
}

/** A settlement is of many jobs, which its plan names: each job's trace shows it. */
function placesOf(workflowId: string, related: readonly unknown[]): SpanPlace[] {
  const place = jobOfWorkflow(workflowId);
  if (place) return [place];
  for (const value of related) {
    const plan = isPlan(value) ? value : isObject(value) && isPlan(value['plan']) ? value['plan'] : null;
    if (plan) return plan.jobs.map((job) => ({ job }));
  }
  return [];
}

function transactionAttributes(answer: unknown): SpanAttributes {
  const sent = transactionsOf(answer);
  return sent.length === 0 ? {} : { transactions: sent.map(({ hash }) => hash) };
}

function transactionsOf(answer: unknown): TransactionRecord[] {
  return (Array.isArray(answer) ? (answer as unknown[]) : [answer]).filter(isTransaction);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isTransaction = (value: unknown): value is TransactionRecord =>
  isObject(value) && typeof value['purpose'] === 'string' && typeof value['gas'] === 'number';
const isPlan = (value: unknown): value is EpochPlan =>
  isObject(value) && Array.isArray(value['jobs']) && typeof value['epoch'] === 'number';
