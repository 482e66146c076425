import {
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  setWorkflowOptions,
} from '@temporalio/workflow';
import type { TransactionRecord } from '#core/messages.js';
import type { RoundPhase, RoundSeconds, RoundView } from '#core/views.js';
import { attestClosing } from './attest.workflow.js';
import { collectUpdates } from './collect.workflow.js';
import { pinned } from './pinned.workflow.js';
import { problemOf } from './problem.workflow.js';
import { chain, coordinator, quick } from './proxies.workflow.js';
import { awaitSelection } from './selection.workflow.js';
import { sumUpdates } from './sum.workflow.js';
import type { RoundInput, RoundResult } from './types.js';

/**
 * One round: select, collect, aggregate, evaluate and archive, anchor. The opening is sent to the chain while
 * the runners already train on it; the round is closed only after both.
 */
export async function trainingRound(input: RoundInput): Promise<RoundResult> {
  const { prepared, round, base } = input;
  const started = Date.now();
  const seconds: Partial<RoundSeconds> = {};
  const transactions: TransactionRecord[] = [];
  const view: RoundView = {
    seq: 0,
    updatedAt: new Date(started).toISOString(),
    job: prepared.job,
    round,
    phase: 'selecting',
    startedAt: new Date(started).toISOString(),
    participants: [],
    missing: [],
    accuracy: null,
    loss: null,
    seconds,
    openHash: null,
    version: null,
    rootHeader: null,
    archive: null,
    transactions,
    problem: null,
  };
  const project = async (change: Partial<RoundView> & { phase: RoundPhase }) => {
    Object.assign(view, change, { seq: view.seq + 1, updatedAt: new Date().toISOString() });
    await quick.projectRound(view);
  };
  const timed = async <T>(part: Exclude<keyof RoundSeconds, 'total'>, work: () => Promise<T>): Promise<T> => {
    const from = Date.now();
    const result = await work();
    seconds[part] = (seconds[part] ?? 0) + (Date.now() - from) / 1000;
    return result;
  };

  try {
    await project({ phase: 'selecting' });
    const selection = await timed('select', () => awaitSelection(input));
    const { opening } = selection;
    const opened = chain(prepared.coordinator).openRound({
      job: prepared.job,
      round,
      openHash: opening.openHash,
    });
    opened.catch(() => undefined); // awaited below; a failure meanwhile must not count as unhandled
    const asksAttesters = (prepared.spec.attesters ?? 0) > 0;
    const drawn = asksAttesters
      ? opened.then(() => chain(prepared.coordinator).keepDraw({ job: prepared.job, round }))
      : null;
    drawn?.catch(() => undefined);
    const collected = await timed('collect', () =>
      collectUpdates(input, selection, (participants, missing) =>
        project({ phase: 'collecting', participants, missing, openHash: opening.openHash }),
      ),
    );
    const { updates, missing, seals } = collected;
    await project({ phase: 'aggregating', participants: collected.participants, missing });
    const aggregated = await timed('aggregate', async () => {
      transactions.push(await opened);
      return sumUpdates({ prepared, opening, base, updates });
    });
    const { version, rootHeader } = aggregated;
    const evaluates = prepared.spec.evaluation !== null;
    const trained = weightedLoss(updates);
    await project({
      phase: evaluates ? 'evaluating' : 'archiving',
      version,
      rootHeader,
      loss: evaluates ? null : trained,
    });
    const archiveStarted = Date.now();
    const archivedModel = coordinator.archiveModel({ prepared, round, version });
    archivedModel.catch(() => undefined);
    if (evaluates) {
      const { accuracy, loss } = await timed('evaluate', () => coordinator.evaluate({ prepared, version }));
      await project({ phase: 'archiving', accuracy, loss: loss ?? trained });
    }
    const { archive, shares } = await coordinator.archiveRound({
      prepared,
      opening,
      base,
      updates,
      ...(seals && { seals }),
      previousManifest: input.previousManifest,
      aggregate: aggregated,
      model: await archivedModel,
      missing,
      accuracy: view.accuracy,
      loss: view.loss,
      startedAt: view.startedAt,
      seconds,
    });
    seconds.archive = (Date.now() - archiveStarted) / 1000 - (seconds.evaluate ?? 0);
    await project({ phase: 'anchoring', archive });
    const closing = { prepared, round, rootHeader, version, archive };
    if (drawn) transactions.push(await drawn);
    const attested = asksAttesters
      ? { attestations: await timed('anchor', () => attestClosing(closing)) }
      : {};
    transactions.push(
      await timed('anchor', () => chain(prepared.coordinator).closeRound({ ...closing, ...attested })),
    );
    seconds.total = (Date.now() - started) / 1000;
    await coordinator.finishRound({
      prepared,
      round,
      base,
      version,
      accuracy: view.accuracy,
      archive,
      shares,
    });
    await project({ phase: 'done' });
    return { version, accuracy: view.accuracy, loss: view.loss, archive, transactions };
  } catch (error) {
    const problem = isCancellation(error)
      ? { code: 'CANCELLED', message: 'The job was cancelled in this round.' }
      : problemOf(error);
    await CancellationScope.nonCancellable(() => project({ phase: 'failed', problem }));
    throw error instanceof ApplicationFailure || isCancellation(error)
      ? error
      : ApplicationFailure.nonRetryable(problem.message, problem.code);
  }
}
// A round ends by the code it began with; its job takes up new code between rounds.
setWorkflowOptions(pinned, trainingRound);

/** Mean training loss over samples; what a round reports when the job has no held-out data. */
function weightedLoss(updates: readonly { samples: number; loss: number }[]): number {
  const samples = updates.reduce((sum, update) => sum + update.samples, 0);
  return updates.reduce((sum, update) => sum + update.loss * update.samples, 0) / samples;
}
