import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  ParentClosePolicy,
  TimeoutFailure,
  condition,
  defineSignal,
  executeChild,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  setWorkflowOptions,
  workflowInfo,
} from '@temporalio/workflow';
import type {
  MissingCode,
  RevealTask,
  RoundOpening,
  RunnerFailure,
  SignedSealList,
  TrainAnswer,
  TrainSeal,
  TrainTask,
  TrainUpdate,
} from '#core/messages.js';
import {
  groupWorkflowId,
  revealActivityId,
  revealGroupWorkflowId,
  runnerQueue,
  trainActivityId,
} from '#core/names.js';
import type { SelectionPlace } from '#core/openHash.js';
import { pinned } from './pinned.workflow.js';
import { problemOf } from './problem.workflow.js';
import { coordinator, quick } from './proxies.workflow.js';
import type { RoundInput } from './types.js';

/** Unreadable: not encrypted as it must be, see services/runnerPayloads.ts. */
type Given = TrainAnswer | { kind: 'unreadable'; reason: string };
interface RunnerActivities {
  train(task: TrainTask): Promise<Given>;
  /** Only of runners that have sealed. */
  reveal(task: RevealTask): Promise<Given>;
}

type Missing = { code: MissingCode; reason: string };
type Answer = { update: TrainUpdate } | { seal: TrainSeal } | Missing;

/** What became of one runner: its update or seal and after how many milliseconds, or why it is not in the round. */
export type Outcome = { update: TrainUpdate; after: number } | { seal: TrainSeal; after: number } | Missing;
export type Arrived = [runner: `0x${string}`, outcome: Outcome][];

export interface Asking {
  round: RoundInput;
  opening: RoundOpening;
  /** When the round began to collect, ms since 1970. */
  started: number;
  /** Where runners have sealed: they alone are asked, to reveal what they sealed. */
  reveal?: { list: SignedSealList; seals: TrainSeal[] };
}

/** A history holds six events and four kilobytes a runner: those of more than this many go into children. */
const RUNNERS_PER_GROUP = 100;
/** A group that is not complete tells its round at most this often what has arrived. */
const TELL_MS = 500;

const arrivedSignal = defineSignal<[Arrived]>('arrived');
/** A late word of those that were asked for seals is none of those that reveal. */
const revealedSignal = defineSignal<[Arrived]>('revealed');
const signalOf = ({ reveal }: Asking) => (reveal ? revealedSignal : arrivedSignal);

/**
 * Asks every runner of the selection, or those of them that have sealed; `told` hears every outcome once. Cancelled, it asks
 * no further.
 */
export async function askAll(asking: Asking, told: (arrived: Arrived) => void): Promise<void> {
  const { round, opening, reveal } = asking;
  const runners = opening.selection.length;
  if (runners <= RUNNERS_PER_GROUP) return askGroup({ ...asking, from: 0, to: runners }, told);
  setHandler(signalOf(asking), told);
  const groups = Array.from({ length: Math.ceil(runners / RUNNERS_PER_GROUP) }, (_, group) => {
    const from = group * RUNNERS_PER_GROUP;
    const to = Math.min(runners, (group + 1) * RUNNERS_PER_GROUP);
    if (!reveal) return { ...asking, from, to };
    const inside = new Set(opening.selection.slice(from, to).map(({ runner }) => runner));
    const seals = reveal.seals.filter(({ runner }) => inside.has(runner));
    return { ...asking, reveal: { ...reveal, seals }, from, to };
  });
  const idOf = reveal ? revealGroupWorkflowId : groupWorkflowId;
  await Promise.allSettled(
    groups.map((group, index) =>
      executeChild(runnerGroup, {
        workflowId: idOf(round.prepared.job, round.round, index),
        parentClosePolicy: ParentClosePolicy.TERMINATE,
        args: [group],
      }),
    ),
  );
}

type Group = Asking & { from: number; to: number };

/** Some of a round's runners, with a history of their own. Tells its round what arrives, several at a time. */
export async function runnerGroup(group: Group): Promise<void> {
  const { parent } = workflowInfo();
  if (!parent) throw new TypeError('A group of runners belongs to a round.');
  const round = getExternalWorkflowHandle(parent.workflowId, parent.runId);
  const state = { untold: [] as Arrived, complete: false };
  const asked = askGroup(group, (arrived) => void state.untold.push(...arrived)).then(
    () => void (state.complete = true),
  );
  while (!state.complete || state.untold.length > 0) {
    await condition(() => state.complete || state.untold.length > 0);
    if (!state.complete) await condition(() => state.complete, TELL_MS);
    const telling = state.untold.splice(0);
    if (telling.length > 0) await round.signal(signalOf(group), telling);
  }
  await asked;
}
setWorkflowOptions(pinned, runnerGroup);

async function askGroup(group: Group, told: (arrived: Arrived) => void): Promise<void> {
  const { opening, started, from, to, reveal } = group;
  const places = await quick.findPlaces({ opening, from, to });
  await Promise.all(
    opening.selection.slice(from, to).map(async (selected, index) => {
      const { runner } = selected;
      const place = places[index];
      if (!place) throw new TypeError(`Runner ${runner} has no place.`);
      const sealed = reveal?.seals.find((seal) => seal.runner === runner);
      if (reveal && !sealed) return;
      const revealing = reveal && sealed && { list: reveal.list, seal: sealed.seal };
      const own = { ...opening, selection: [selected] };
      const outcome = await ask(group.round, own, runner, place, revealing);
      told([[runner, 'code' in outcome ? outcome : { ...outcome, after: Date.now() - started }]]);
    }),
  );
}

/** @param opening with the runner's own entry alone */
async function ask(
  { prepared, base }: RoundInput,
  opening: RoundOpening,
  runner: `0x${string}`,
  place: SelectionPlace,
  revealing: { list: SignedSealList; seal: `0x${string}` } | undefined,
): Promise<Answer> {
  const deadline = prepared.spec.participants.deadlineSeconds * 1000;
  const { train, reveal } = proxyActivities<RunnerActivities>({
    taskQueue: runnerQueue(runner),
    activityId: revealing ? revealActivityId(runner) : trainActivityId(runner),
    scheduleToCloseTimeout: deadline,
    startToCloseTimeout: deadline,
    heartbeatTimeout: '5s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { initialInterval: '250ms', backoffCoefficient: 2, maximumInterval: '5s' },
  });
  const task: TrainTask = {
    protocol: 1,
    coordinator: prepared.coordinator,
    runner,
    domain: prepared.domain,
    opening,
    place,
    model: base,
    spec: prepared.spec,
  };
  try {
    const answer = await (revealing ? reveal({ ...task, seals: revealing.list }) : train(task));
    if (answer.kind === 'unreadable') return { code: 'rejected', reason: clipped(answer.reason) };
    if (answer.kind === 'refused')
      return { code: 'refused', reason: clipped(`${answer.code}: ${answer.reason}`) };
    if (answer.runner !== runner)
      return { code: 'rejected', reason: `the answer names another runner, ${answer.runner}` };
    // Not as a local activity: of two that end in one task, a replay hears at once, and timers between them differ.
    if (prepared.spec.sealFirst && !revealing) {
      const seal = answer as TrainSeal;
      await coordinator.admitSeal({ prepared, opening, seal });
      return { seal };
    }
    const update = answer as TrainUpdate;
    await coordinator.admitUpdate({ prepared, opening, update, ...(revealing && { seal: revealing.seal }) });
    return { update };
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): Missing {
  const problem = problemOf(error);
  if (problem.code === 'UPDATE_REFUSED') return { code: 'rejected', reason: clipped(problem.message) };
  if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure)
    return { code: 'lost', reason: 'it took the task or was asked, and did not answer before the deadline' };
  return { code: 'failed', reason: clipped(`${problem.code}: ${whatRunnerSaid(error) ?? problem.message}`) };
}

/** A runner's words are in the details of its failure, if it is one of a runner. */
function whatRunnerSaid(error: unknown): string | null {
  const failed = error instanceof ActivityFailure ? error.cause : null;
  const [said] = (failed instanceof ApplicationFailure ? failed.details : null) ?? [];
  const { message } = Object(said) as Partial<RunnerFailure>;
  return typeof message === 'string' ? message : null;
}

/** What a runner says is its own words, however many. */
const clipped = (text: string): string => text.slice(0, 900);
