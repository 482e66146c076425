import { createHash } from 'node:crypto';
import type { Hex } from '#core/hex.js';
import { jobSpec, type JobSpec } from '#core/jobSpec.js';
import type { ModelRef } from '#core/messages.js';
import type { JobView, RoundView, RunnerView, TriggerView, VersionView } from '#core/views.js';

/** Example rows; what a test cares about it overrides. */

export const hashOf = (text: string): Hex => `0x${createHash('sha256').update(text).digest('hex')}`;
export const addressOf = (text: string): Hex => `0x${hashOf(text).slice(-40)}`;
export const timeOf = (seconds: number): string =>
  new Date(1_790_000_000_000 + seconds * 1_000).toISOString();

export const coordinator = addressOf('coordinator');
const archive = { model: 'a'.repeat(43), manifest: 'b'.repeat(43), manifestHash: hashOf('manifest') };

export function exampleSpec(changes: Partial<JobSpec> = {}): JobSpec {
  return jobSpec.parse({
    version: 1,
    name: 'digits',
    data: { contract: 'digits', input: [1, 28, 28], classes: 10 },
    rounds: 8,
    model: { sha256: hashOf('model') },
    evaluation: { sha256: hashOf('evaluation') },
    training: { optimizer: { name: 'sgd', lr: 0.1 } },
    aggregation: { rule: 'fedavg', rate: { numerator: 1, denominator: 1 } },
    participants: { quorum: 3 },
    rewards: { budget: '1000' },
    archive: { recipients: null },
    updates: { recipients: [{ member: `0x${'c'.repeat(40)}`, publicKey: `0x${'5e'.repeat(32)}` }] },
    ...changes,
  });
}

export function exampleJob(changes: Partial<JobView> = {}): JobView {
  return {
    seq: 0,
    updatedAt: timeOf(0),
    job: hashOf('job'),
    state: 'queued',
    trigger: 'nightly',
    delivery: null,
    createdAt: timeOf(0),
    spec: exampleSpec(),
    coordinator,
    round: 0,
    base: null,
    version: null,
    baseNumber: 0,
    accuracy: null,
    loss: null,
    archive: null,
    transactions: [],
    settledEpoch: null,
    problem: null,
    ...changes,
  };
}

export function exampleRound(changes: Partial<RoundView> = {}): RoundView {
  return {
    seq: 1,
    updatedAt: timeOf(1),
    job: hashOf('job'),
    round: 1,
    phase: 'collecting',
    startedAt: timeOf(0),
    participants: [],
    missing: [],
    accuracy: null,
    loss: null,
    seconds: {},
    openHash: null,
    version: null,
    rootHeader: null,
    archive: null,
    transactions: [],
    problem: null,
    ...changes,
  };
}

export const exampleModel = (name: string): ModelRef => ({
  versionId: hashOf(`version ${name}`),
  graph: hashOf('graph'),
  params: hashOf(`params ${name}`),
  state: null,
  paramsRoot: hashOf(`root ${name}`),
  stepsHash: hashOf('steps'),
  stateRoot: `0x${'0'.repeat(64)}`,
});

export function exampleVersion(number: number, changes: Partial<VersionView> = {}): VersionView {
  return {
    seq: number + 1,
    updatedAt: timeOf(number),
    lineage: 'digits',
    number,
    model: exampleModel(String(number)),
    parent: null,
    job: hashOf('job'),
    round: number,
    accuracy: 0.9,
    archive,
    ...changes,
  };
}

export function exampleRunner(changes: Partial<RunnerView> = {}): RunnerView {
  return {
    seq: 0,
    updatedAt: timeOf(0),
    runner: addressOf('runner'),
    name: 'ward-1',
    member: addressOf('member'),
    software: '0.1.0',
    machine: 'two cores',
    data: [{ name: 'digits', samples: 2_000, input: [1, 28, 28], classes: 10 }],
    enrolledAt: timeOf(0),
    lastSeen: timeOf(0),
    connected: false,
    state: 'idle',
    progress: null,
    suspension: null,
    drain: null,
    ...changes,
  };
}

export function exampleTrigger(changes: Partial<TriggerView> = {}): TriggerView {
  return {
    seq: 0,
    updatedAt: timeOf(0),
    name: 'nightly',
    kind: 'github',
    events: ['push'],
    refs: [],
    spec: exampleSpec(),
    createdAt: timeOf(0),
    secrets: 1,
    ...changes,
  };
}
