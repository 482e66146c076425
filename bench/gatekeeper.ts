import { connect, type ClientHttp2Session } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import { toHex } from '#core/hex.js';
import type { TrainAnswer } from '#core/messages.js';
import { pollTasks } from '#gpu-runner/taskWorker.js';
import { ensureTable, openTable, type Table } from '#services/table.js';
import { ask } from '#test/gpu-runner/coordinator.js';
import {
  completionOf,
  enter,
  framed,
  knock,
  makeRunner,
  pollOf,
  send,
  takeTask,
} from '#test/security/runners.js';
import type { TestRunner } from '#test/security/runners.js';
import { startStores } from '#test/services/realParts.js';
import { startGatekeeper, type TestGatekeeper } from '#test/support/gatekeeper.js';
import { startTemporal } from '#test/support/temporal.js';
import type { Emit } from './main.js';
import { scheduleTasks } from './gatekeeper/tasks.js';
import { quantile } from './stack.js';

const tasks = 400;
const connectedRunners = 1_000;
const throughputRunners = 64;
const throughputSeconds = 5;
const cutOffs = 20;
const kills = 5;

/**
 * What the gatekeeper costs: everything on real parts, and beside each figure the same without it, from the same run.
 */
export async function run(emit: Emit): Promise<void> {
  const [stores, temporal] = await Promise.all([startStores(['dynamodb']), startTemporal()]);
  const address = temporal.address ?? '';
  await ensureTable({ table: 'roundtable' });
  const table = openTable({ table: 'roundtable' });
  const gatekeeper = await startGatekeeper({
    temporal: address,
    table,
    dynamodb: stores.ports.dynamodb,
    folder: stores.folder,
  });
  const house: House = {
    address,
    table,
    gatekeeper,
    guest: async () => {
      const runner = await makeRunner();
      await enter(table, runner);
      return runner;
    },
  };
  try {
    await latency(house, emit);
    await throughput(house, emit);
    await memory(house, emit);
    await cutOff(house, emit);
    await recovery(house, emit);
  } finally {
    await gatekeeper.end('SIGKILL');
    await temporal.teardown();
    await stores.stop();
  }
}

interface House {
  address: string;
  table: Table;
  gatekeeper: TestGatekeeper;
  guest(): Promise<TestRunner>;
}

/** Tasks that wait, taken and answered in turns: one straight from Temporal, one through the gatekeeper. */
async function latency({ address, gatekeeper, guest }: House, emit: Emit): Promise<void> {
  const runner = await guest();
  const close = await scheduleTasks(address, runner.runner, tasks, gatekeeper.codec);
  const ways = { direct: direct(address), gatekeeper: knock(gatekeeper, runner) };
  const polls = { direct: [] as number[], gatekeeper: [] as number[] };
  const answers = { direct: [] as number[], gatekeeper: [] as number[] };
  for (let task = 0; task < tasks; task++) {
    const way = task % 2 === 0 ? 'direct' : 'gatekeeper';
    const began = performance.now();
    const taken = await takeTask(ways[way], runner.runner);
    polls[way].push(performance.now() - began);
    const body = await completionOf(taken, runner, gatekeeper.member.publicKey, { task });
    const answering = performance.now();
    const { status } = await send(ways[way], 'RespondActivityTaskCompleted', body);
    if (status !== 0) throw new Error(`an answer ended with ${status}`);
    answers[way].push(performance.now() - answering);
    // Answers of 50 a second are within a runner's budget.
    await pause(25);
  }
  await close();
  for (const session of Object.values(ways)) session.destroy();
  for (const [what, times] of Object.entries({ poll: polls, answer: answers })) {
    const figures = (values: number[]) => ({
      median: round(quantile(values, 0.5)),
      p99: round(quantile(values, 0.99)),
    });
    const added = quantile(times.gatekeeper, 0.5) - quantile(times.direct, 0.5);
    emit({
      what,
      calls: tasks / 2,
      directMs: figures(times.direct),
      gatekeeperMs: figures(times.gatekeeper),
      addedMedianMs: round(added),
      addedP99Ms: round(quantile(times.gatekeeper, 0.99) - quantile(times.direct, 0.99)),
    });
  }
}

/** Calls that Temporal answers from memory (or refuses), as fast as many runners can make them one after the other. */
async function throughput({ address, gatekeeper, guest }: House, emit: Emit): Promise<void> {
  const runners = await Promise.all(Array.from({ length: throughputRunners }, guest));
  const ways = {
    direct: () => runners.map(() => direct(address)),
    gatekeeper: () => runners.map((runner) => knock(gatekeeper, runner)),
  };
  const perSecond: Record<string, { answered: number; refused: number }> = {};
  for (const [way, open] of Object.entries(ways)) {
    const sessions = open();
    for (const session of sessions) await send(session, 'GetSystemInfo', nothing);
    let answered = 0;
    let refused = 0;
    const began = performance.now();
    await Promise.all(
      sessions.map(async (session) => {
        while (performance.now() - began < throughputSeconds * 1_000) {
          const { status } = await send(session, 'GetSystemInfo', nothing);
          answered++;
          if (status !== 0) refused++;
        }
      }),
    );
    const seconds = (performance.now() - began) / 1_000;
    // A dev server refuses more than some 2,000 calls a second itself; such an answer has come all the way too.
    perSecond[way] = { answered: Math.round(answered / seconds), refused: Math.round(refused / seconds) };
    for (const session of sessions) session.destroy();
  }
  emit({ what: 'throughput', runners: throughputRunners, callsPerSecond: perSecond });
}

async function memory({ gatekeeper, guest }: House, emit: Emit): Promise<void> {
  const before = await gatekeeper.health();
  const began = performance.now();
  const sessions: ClientHttp2Session[] = [];
  for (let some = 0; some < connectedRunners; some += 50) {
    const runners = await Promise.all(Array.from({ length: 50 }, guest));
    for (const runner of runners) {
      const session = knock(gatekeeper, runner);
      sessions.push(session);
      void send(session, 'PollActivityTaskQueue', pollOf(runner.runner), { 'grpc-timeout': '70S' });
    }
    while ((await gatekeeper.health()).polls < sessions.length) await pause(50);
  }
  const after = await gatekeeper.health();
  emit({
    what: 'connected',
    runners: after.runners,
    polls: after.polls,
    seconds: round((performance.now() - began) / 1_000),
    megabytes: { before: before.memoryMegabytes, after: after.memoryMegabytes },
    kilobytesPerRunner: Math.round(
      ((after.memoryMegabytes - before.memoryMegabytes) * 1e3) / connectedRunners,
    ),
  });
  for (const session of sessions) session.destroy();
  while ((await gatekeeper.health()).sessions > 0) await pause(50);
}

async function cutOff({ table, gatekeeper, guest }: House, emit: Emit): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < cutOffs; i++) {
    const runner = await guest();
    const session = knock(gatekeeper, runner);
    const poll = send(session, 'PollActivityTaskQueue', pollOf(runner.runner));
    while ((await gatekeeper.health()).polls === 0) await pause(20);
    const began = performance.now();
    await table.suspendRunner(runner.runner, {
      by: runner.runner,
      reason: 'bench',
      at: new Date().toISOString(),
    });
    await poll;
    times.push(performance.now() - began);
  }
  emit({
    what: 'suspension to cut-off',
    times: cutOffs,
    ms: { median: Math.round(quantile(times, 0.5)), most: Math.round(Math.max(...times)) },
  });
}

/** kill -9 while a task runs; it ends in the moment of the kill, so its answer waits for the gatekeeper's return. */
async function recovery({ address, gatekeeper, guest }: House, emit: Emit): Promise<void> {
  const runner = await guest();
  const stop = new AbortController();
  const attempts: (() => void)[] = [];
  const worker = pollTasks(
    {
      door: () =>
        Promise.resolve({
          address: gatekeeper.address,
          namespace: 'default',
          certificate: runner.certificate.certificate,
          privateKey: runner.certificate.privateKey,
          authorities: gatekeeper.certificate.certificate,
          coordinatorSealingKey: toHex(gatekeeper.member.publicKey),
          sealingKey: runner.sealing.privateKey,
          replaced: new AbortController().signal,
        }),
      runner: runner.runner,
      train: async () => {
        await new Promise<void>((resolve) => attempts.push(resolve));
        return {} as unknown as TrainAnswer;
      },
      reveal: () => Promise.reject(new Error('nothing was sealed')),
      progress: () => null,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    },
    stop.signal,
  );
  const times: number[] = [];
  let lost = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const asked = await ask(
      address,
      { runner: runner.runner },
      { codec: gatekeeper.codec, heartbeatSeconds: 20 },
    );
    while (attempts.length < kill) await pause(20);
    await pause(1_500);
    const began = performance.now();
    await gatekeeper.end('SIGKILL');
    attempts[kill - 1]?.();
    await gatekeeper.start();
    const outcome = await asked.outcome;
    times.push(performance.now() - began);
    if (outcome.kind !== 'answered' || attempts.length !== kill) lost++;
  }
  stop.abort();
  await worker;
  emit({
    what: 'recovery after kill -9 with a task running',
    kills,
    lost,
    answeredMs: { median: Math.round(quantile(times, 0.5)), most: Math.round(Math.max(...times)) },
  });
}

const nothing = framed(new Uint8Array(0));
const quiet = (): void => undefined;
const round = (value: number): number => Math.round(value * 100) / 100;

function direct(address: string): ClientHttp2Session {
  return connect(`http://${address}`);
}
