import { readFileSync } from 'node:fs';
import { ApplicationFailure, type PayloadCodec } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type NativeConnection } from '@temporalio/worker';
import { Context } from '@temporalio/activity';
import { toHex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { ModelRef, RevealTask, TrainAnswer, TrainTask, TransactionRecord } from '#core/messages.js';
import { chainQueue, coordinatorQueue, runnerQueue } from '#core/names.js';
import type { JobView, RoundView } from '#core/views.js';
import { coordinatorCodec, runnerCodec } from '#services/runnerPayloads.js';
import { sha256 } from '#services/sha256.js';
import { x25519PublicKey, type X25519KeyPair } from '#services/x25519.js';
import { versionedOptions } from '#workflows/deployment.js';
import type { ChainActivities, CoordinatorActivities, EpochPlan, PreparedJob } from '#workflows/types.js';
import { exampleSpec } from '../services/views.js';

export const hash = (digit: string): `0x${string}` => `0x${digit.repeat(64)}`;
export const runnerAddress = (number: number): `0x${string}` => `0x${String(number).padStart(40, '0')}`;
export const coordinatorAddress = `0x${'c'.repeat(40)}` as const;

export function fakeSpec(change: Partial<JobSpec['participants']> & { rounds?: number } = {}): JobSpec {
  const { rounds = 2, ...participants } = change;
  const spec = exampleSpec({ rounds, start: 'model' });
  return {
    ...spec,
    participants: { ...spec.participants, quorum: 2, graceFactor: 2, deadlineSeconds: 20, ...participants },
  };
}

export const fakeModel = (digit: string): ModelRef => ({
  versionId: hash(digit),
  graph: hash('a'),
  params: hash(digit),
  state: null,
  paramsRoot: hash(digit),
  stepsHash: hash('b'),
  stateRoot: hash('0'),
});

export function fakePrepared(job: `0x${string}`, spec: JobSpec): PreparedJob {
  return {
    job,
    spec,
    specHash: hash('5'),
    coordinator: coordinatorAddress,
    domain: { chainId: 31337, jobs: `0x${'d'.repeat(40)}` },
    view: { trigger: 'submit', delivery: null, createdAt: '2026-11-01T00:00:00.000Z' },
    parent: null,
    base: fakeModel('0'),
    dimension: 10,
    shards: 1,
    baseNumber: 0,
    graphArchive: 'g'.repeat(43),
    archive: { model: 'm'.repeat(43), manifest: 'n'.repeat(43), manifestHash: hash('6') },
    accuracy: 0.1,
    loss: 2.3,
  };
}

export const fakePlan: Omit<EpochPlan, 'payer' | 'epoch'> = {
  root: hash('1'),
  leaves: 1,
  total: '1',
  manifestHash: hash('2'),
  archive: 'e'.repeat(43),
  file: hash('3'),
  jobs: [],
  windowSeconds: 0,
};

/** What the fakes saw, for the tests to look at. */
export interface Seen {
  jobs: JobView[];
  rounds: RoundView[];
  calls: string[];
  settled: EpochPlan[];
}

export interface FakeStack {
  seen: Seen;
  run<T>(work: () => Promise<T>): Promise<T>;
}

export type FakeRunner = (task: TrainTask) => Promise<TrainAnswer>;
/** Is asked with the same and the list of all seals. */
export type FakeRevealer = (task: RevealTask) => Promise<TrainAnswer>;

/** Activities without a stack: they answer at once and write down what they were asked. */
export async function fakeStack(
  environment: TestWorkflowEnvironment,
  options: {
    spec: JobSpec;
    runners: Record<`0x${string}`, FakeRunner>;
    /** What each does when it is asked to reveal; unless told, it shows its update at once. */
    revealing?: Record<`0x${string}`, FakeRevealer>;
    selected?: `0x${string}`[];
    /** Runners that read their tasks and answer in the clear. */
    unsealed?: `0x${string}`[];
    override?: Partial<CoordinatorActivities>;
    /** The build that the coordinator's worker says it is; without one builds do not matter. */
    build?: string;
    /** Of a second stack beside the first. */
    connection?: NativeConnection;
  },
): Promise<FakeStack> {
  const { spec, runners, connection = environment.nativeConnection } = options;
  const selected = options.selected ?? (Object.keys(runners) as `0x${string}`[]);
  const seen: Seen = { jobs: [], rounds: [], calls: [], settled: [] };
  const record = async (purpose: string): Promise<TransactionRecord> => {
    seen.calls.push(purpose);
    return { purpose, hash: hash('7'), gas: 1, block: 1 };
  };
  const coordinator: CoordinatorActivities = {
    prepareJob: async ({ job }) => fakePrepared(job, spec),
    selectRunners: async ({ round, base }) => ({
      opening: {
        job: hash('e'),
        round,
        baseVersion: base.versionId,
        specHash: hash('5'),
        openHash: hash('8'),
        shift: 0,
        selection: selected.map((runner) => ({ runner, maxSamples: 100 })),
      },
      missing: [],
      quorum: spec.participants.quorum === 'all' ? selected.length : spec.participants.quorum,
      ready: true,
    }),
    findPlaces: async ({ opening, from, to }) =>
      opening.selection
        .slice(from, to)
        .map((_, i) => ({ index: from + i, count: opening.selection.length, proof: [] })),
    admitSeal: async () => undefined,
    signSeals: async ({ opening, seals }) => {
      seen.calls.push(`seals ${opening.round} of ${seals.length}`);
      return { list: hash('c'), signature: `0x${'ab'.repeat(64)}1b` };
    },
    admitUpdate: async ({ update }) => {
      if (update.samples > 100) throw ApplicationFailure.nonRetryable('too many samples', 'UPDATE_REFUSED');
    },
    aggregate: async ({ opening, updates }) => ({
      version: fakeModel(String(opening.round)),
      sumRoots: [[hash('9')]],
      rootHeader: hash('9'),
      weights: updates.map(({ samples }) => samples),
    }),
    planSum: async () => [hash('a'), hash('b')],
    sumShard: async ({ plan }) => {
      seen.calls.push(`sum ${plan.slice(-1)}`);
      return plan;
    },
    joinSum: async ({ opening, updates, parts }) => {
      seen.calls.push(`join ${parts.map((part) => part.slice(-1)).join()}`);
      return {
        version: fakeModel(String(opening.round)),
        sumRoots: [[hash('9')]],
        rootHeader: hash('9'),
        weights: updates.map(({ samples }) => samples),
      };
    },
    evaluate: async () => ({ accuracy: 0.9, loss: 0.3 }),
    archiveModel: async () => ({ model: 'm'.repeat(43), state: null }),
    archiveRound: async () => ({
      archive: { model: 'm'.repeat(43), manifest: 'n'.repeat(43), manifestHash: hash('6') },
      shares: [],
    }),
    signReceipts: async ({ opening, updates }) => {
      seen.calls.push(`receipts ${opening.round} for ${updates.length}`);
    },
    proposeClosing: async ({ round }) => void seen.calls.push(`propose ${round}`),
    awaitAttestations: async () => ({ needed: 0, given: [], silent: [] }),
    withdrawProposal: async ({ round }) => void seen.calls.push(`withdraw ${round}`),
    finishRound: async () => undefined,
    projectJob: async (view) => void seen.jobs.push(structuredClone(view)),
    projectRound: async (view) => void seen.rounds.push(structuredClone(view)),
    failQueuedJob: async ({ code }) => void seen.calls.push(`failed before it began: ${code}`),
    forgetUpdates: async () => ({ over: true, waitSeconds: 0 }),
    planEpoch: async ({ payer, epoch }) => ({ ...fakePlan, payer, epoch }),
    findAnswer: async () => null,
    finishEpoch: async ({ plan, effective }) => {
      seen.calls.push(effective ? 'epoch effective' : 'epoch published');
      seen.settled.push(plan);
    },
    ...options.override,
  };
  const chain: ChainActivities = {
    createJob: async () => [await record('create')],
    openRound: ({ round }) => record(`open ${round}`),
    keepDraw: ({ round }) => record(`draw ${round}`),
    closeRound: ({ round, attestations }) =>
      record(`close ${round}${attestations ? ` with ${attestations.length}` : ''}`),
    finishJob: () => record('finish'),
    releaseBudgets: async () => void seen.calls.push('release'),
    sendAnswer: () => record('answer'),
    publishEpoch: ({ plan }) => record(`publish ${plan.epoch}`),
  };
  const workers = await Promise.all([
    Worker.create({
      connection,
      taskQueue: coordinatorQueue,
      ...(options.build === undefined ? {} : versionedOptions(options.build)),
      workflowBundle: { code: readFileSync('dist/workflow-bundle.js', 'utf8') },
      dataConverter: { payloadCodecs: [fakeCodec()] },
      activities: coordinator,
    }),
    Worker.create({
      connection,
      taskQueue: chainQueue(coordinatorAddress),
      activities: chain,
    }),
    ...Object.entries(runners).map(([runner, train]) =>
      Worker.create({
        connection,
        taskQueue: runnerQueue(runner),
        dataConverter: { payloadCodecs: [fakeRunnerCodec(runner, options.unsealed ?? [])] },
        activities: { train, reveal: options.revealing?.[runner as `0x${string}`] ?? answering(1) },
      }),
    ),
  ]);
  return {
    seen,
    async run(work) {
      const [first, ...others] = workers;
      if (!first) throw new TypeError('no workers');
      return others.reduce<() => Promise<Awaited<ReturnType<typeof work>>>>(
        (inner, worker) => () => worker.runUntil(inner()) as never,
        () => first.runUntil(work()) as never,
      )();
    },
  };
}

const member = sealingKeyOf('member');

/** The coordinator's codec as in workflows/main.ts. */
export const fakeCodec = (): PayloadCodec =>
  coordinatorCodec(member.privateKey, async (runner) => toHex(sealingKeyOf(runner).publicKey));

function fakeRunnerCodec(runner: string, unsealed: readonly string[]): PayloadCodec {
  const codec = runnerCodec(runner as `0x${string}`, sealingKeyOf(runner).privateKey, member.publicKey);
  return unsealed.includes(runner) ? { ...codec, encode: (payloads) => Promise.resolve(payloads) } : codec;
}

function sealingKeyOf(name: string): X25519KeyPair {
  const privateKey = sha256(Buffer.from(name));
  return { privateKey, publicKey: x25519PublicKey(privateKey) };
}

/** A runner that answers after so many milliseconds, unless it is cancelled before. */
export function answering(milliseconds: number, change: { samples?: number } = {}): FakeRunner {
  return async (task) => {
    await Context.current().sleep(milliseconds);
    return {
      kind: 'update',
      runner: task.runner,
      file: hash('f'),
      bytes: 10,
      updateRoot: hash('4'),
      dimension: 10,
      samples: change.samples ?? 10,
      steps: 1,
      saturated: 0,
      signature: `0x${'ab'.repeat(64)}1b`,
      training: { onnxruntime: '1', provider: 'cpu', cpu: 'avx2', threads: 1 },
      loss: 1,
      seconds: milliseconds / 1000,
    };
  };
}

/** A runner that seals after so many milliseconds. */
export function sealing(milliseconds: number): FakeRunner {
  return async ({ runner }) => {
    await Context.current().sleep(milliseconds);
    return { kind: 'sealed', runner, seal: hash('d'), signature: `0x${'ab'.repeat(64)}1b` };
  };
}

/** A runner that took the task and is never heard of again. */
export const silent: FakeRunner = async () => {
  const context = Context.current();
  const heartbeat = setInterval(() => context.heartbeat(), 500);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(heartbeat);
  }
};
