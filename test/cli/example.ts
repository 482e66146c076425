import type { JobView, RoundView, RunnerView, VersionView } from '#core/views.js';
import { exampleSpec } from '../services/views.js';

/** A job of three rounds with four runners, made up, as the API would show it. */

const at = '2026-11-22T12:00:00.000Z';

export const hash = (byte: number): `0x${string}` => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`;
export const account = (byte: number): `0x${string}` => `0x${byte.toString(16).padStart(2, '0').repeat(20)}`;
const archive = (letter: string): string => letter.repeat(43);

export const spec = exampleSpec({
  rounds: 3,
  model: { sha256: hash(0x0a) },
  evaluation: { sha256: hash(0x0b) },
  rewards: { budget: '3000000000000000000', rule: 'samples' },
});

export const runners: RunnerView[] = ['north-1', 'north-2', 'harbour-1', 'meadow-1'].map((name, i) => ({
  seq: 1,
  updatedAt: at,
  runner: account(0x11 * (i + 1)),
  name,
  member: account(0xaa),
  software: 'roundtable-runner 0.1.0',
  machine: 'x64, 2 cores',
  data: [{ name: 'digits', samples: 2000, input: [1, 28, 28], classes: 10 }],
  enrolledAt: at,
  lastSeen: at,
  connected: true,
  state: 'idle',
  progress: null,
  suspension: null,
  drain: null,
}));

export const model = (number: number) => ({
  versionId: hash(0x50 + number),
  graph: hash(0x01),
  params: hash(0x60 + number),
  state: null,
  paramsRoot: hash(0x70 + number),
  stepsHash: hash(0x02),
  stateRoot: hash(0x00),
});

const archiveOf = (number: number) => ({
  model: archive('ABCDEF'[number] ?? 'Z'),
  manifest: archive('abcdef'[number] ?? 'z'),
  manifestHash: hash(0x80 + number),
});

export function job(state: JobView['state'], round: number): JobView {
  return {
    seq: round + 1,
    updatedAt: at,
    job: hash(0x3f),
    state,
    trigger: 'demo-push',
    delivery: 'd-1',
    createdAt: at,
    spec,
    coordinator: account(0xaa),
    round,
    base: model(0),
    version: model(round),
    baseNumber: 0,
    accuracy: [0.1, 0.7125, 0.8412, 0.9034][round] ?? null,
    loss: 0.4,
    archive: archiveOf(round),
    transactions: [],
    settledEpoch: null,
    problem: null,
  };
}

const trained = (i: number) => ({
  runner: runners[i]?.runner ?? account(0),
  state: 'done' as const,
  samples: 2000 - 100 * i,
  loss: 0.412 + i / 100,
  seconds: 1.9 + 3 * i,
  bytes: 24_112,
});

export function finishedRound(number: number): RoundView {
  const offline = number === 2;
  return {
    seq: 9,
    updatedAt: at,
    job: hash(0x3f),
    round: number,
    phase: 'done',
    startedAt: at,
    participants: (offline ? [0, 1, 2] : [0, 1, 2, 3]).map(trained),
    missing: offline ? [{ runner: account(0x44), code: 'offline', reason: 'last seen 12 s ago' }] : [],
    accuracy: job('running', number).accuracy,
    loss: 0.9124 / number,
    seconds: {
      select: 0.1,
      collect: 2.4,
      aggregate: 0.1,
      evaluate: 0.5,
      archive: 0.3,
      anchor: 0.2,
      total: 3.6,
    },
    openHash: hash(0x31),
    version: model(number),
    rootHeader: hash(0x90 + number),
    archive: archiveOf(number),
    transactions: [
      { purpose: 'open', hash: hash(0xb0 + number), gas: 51_204, block: 20 + number },
      { purpose: 'close', hash: hash(0xc0 + number), gas: 78_112, block: 21 + number },
    ],
    problem: null,
  };
}

/** A round in which one runner is done, one is half way, one was asked and one is missing. */
export function openRound(number: number): RoundView {
  return {
    ...finishedRound(number),
    phase: 'collecting',
    participants: [
      trained(0),
      ...[1, 2].map((i) => ({
        ...trained(i),
        state: 'asked' as const,
        samples: null,
        loss: null,
        seconds: null,
        bytes: null,
      })),
    ],
    missing: [{ runner: account(0x44), code: 'offline', reason: 'last seen 12 s ago' }],
    accuracy: null,
    loss: null,
    seconds: {},
    version: null,
    rootHeader: null,
    archive: null,
    transactions: [],
  };
}

export const busyRunners: RunnerView[] = runners.map((runner, i) =>
  i === 1
    ? {
        ...runner,
        state: 'training',
        progress: { job: hash(0x3f), round: 2, step: 104, steps: 200, loss: 0.5021 },
      }
    : runner,
);

export function version(number: number): VersionView {
  return {
    seq: number + 1,
    updatedAt: at,
    lineage: 'digits',
    number,
    model: model(number),
    parent: number === 0 ? null : model(number - 1).versionId,
    job: hash(0x3f),
    round: number,
    accuracy: job('running', number).accuracy,
    archive: archiveOf(number),
  };
}

export const startedAt = Date.parse(at);
