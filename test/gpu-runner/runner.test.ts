import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { canonicalBytes } from '#core/canonicalJson.js';
import {
  trainAnswer,
  type ModelRef,
  type RevealTask,
  type TrainAnswer,
  type TrainTask,
  type TrainUpdate,
} from '#core/messages.js';
import { sealOf } from '#core/seal.js';
import { projectRoot } from '#local/paths.js';
import { findTemporal } from '#local/temporal/find.js';
import { temporalPart } from '#local/temporal/part.js';
import { sha256 } from '#services/sha256.js';
import { listSignedBy } from '../support/seals.js';
import { until } from '../support/until.js';
import { coordinatorWallet, startApi, type TestApi } from './api.js';
import { ask as askWith, type AskedTask, type Outcome } from './coordinator.js';
import type { TestGatekeeper } from '../support/gatekeeper.js';
import { writeData } from './data.js';
import { temporaryFolder } from './folder.js';
import { allowed, makeHome } from './home.js';
import { endChild, freePort, startPart } from './parts.js';
import { startRunner, type RunnerProcess } from './runnerProcess.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';

let api: TestApi;
let gatekeeper: TestGatekeeper;
let model: ModelRef;
let temporal: string;
let temporalServer: ChildProcess;
let startTemporal: () => Promise<ChildProcess>;

beforeAll(async () => {
  const [port, httpPort, stateDir, { path: binary }] = await Promise.all([
    freePort(),
    freePort(),
    temporaryFolder(),
    findTemporal(),
  ]);
  temporal = `127.0.0.1:${port}`;
  startTemporal = () => startPart(temporalPart({ binary, port, httpPort, uiPort: null, stateDir }));
  [temporalServer, api] = await Promise.all([startTemporal(), startApi()]);
  gatekeeper = await api.openGatekeeper(temporal);
  model = await storeModel(api.artifacts, smallModel());
});
const ask = (
  address: string,
  task: TrainTask | RevealTask,
  change: Partial<Parameters<typeof askWith>[2]> = {},
) => askWith(address, task, { codec: gatekeeper.codec, ...change });
beforeEach(() => {
  api.fault = null;
});

/** Without a throttle a tenth of a second of training. */
const long = smallSpec({ training: { epochs: 1_000 } });
const slowly = { ...allowed, throttle: 300 };
const ratherSlowly = { ...allowed, throttle: 15 };
const never = () => new Promise<Response>(() => undefined);

async function runnerIn(change: Parameters<typeof makeHome>[1] = {}) {
  const home = await makeHome(api, change);
  const start = async (): Promise<RunnerProcess> => {
    const runner = startRunner(home.folder);
    await until(
      () => runner.lines.includes('waiting for tasks') && runner.lines.includes('enrolled'),
      'the runner',
    );
    return runner;
  };
  return { ...home, start, work: join(home.folder, 'work') };
}

async function answerOf(asked: AskedTask): Promise<TrainAnswer> {
  const outcome: Outcome = await asked.outcome;
  if (outcome.kind !== 'answered') throw new Error(`not answered: ${JSON.stringify(outcome)}`);
  return trainAnswer.parse(outcome.answer);
}

async function updateOf(asked: AskedTask): Promise<TrainUpdate> {
  const answer = await answerOf(asked);
  if (answer.kind !== 'update') throw new Error(`no update: ${JSON.stringify(answer)}`);
  return answer;
}

const progressIs = (asked: AskedTask) => async () =>
  ((await asked.pending())?.progress as { step?: number } | null)?.step !== undefined;
/** Its weights lie there for the training process. */
const isTraining = (work: string, task: TrainTask) => async () =>
  existsSync(roundFolder(work, task)) &&
  (await readdir(roundFolder(work, task))).some((name) => name.startsWith('attempt-'));
const roundFolder = (work: string, { opening }: TrainTask) =>
  join(work, opening.job.slice(2), String(opening.round));

test('a runner enrols, trains, answers, reports, and goes within a second', async () => {
  const { start, key } = await runnerIn();
  const runner = await start();
  const [first, second] = [makeTask(key.address, model), makeTask(key.address, model)];
  const answer = await updateOf(await ask(temporal, first));
  expect(answer).toMatchObject({
    samples: 40,
    steps: 10,
    saturated: 0,
    training: { provider: 'cpu', threads: 1 },
  });
  const { job, round } = first.opening;
  const name = { job, round, runner: answer.runner, file: answer.file };
  await expect(api.updates.get(name, answer.bytes)).resolves.toHaveLength(answer.bytes);
  await updateOf(await ask(temporal, second));
  // It reports every other second, so the end of its work may not be told yet.
  await until(
    async () => (await api.table.getRunner(key.address))?.state === 'idle',
    'a sign of life after the work',
  );
  expect(await api.table.getRunner(key.address)).toMatchObject({
    name: 'north-1',
    data: [{ name: 'digits', samples: 40, input: [4], classes: 2 }],
  });
  const memory = runner.memory();
  const stopping = performance.now();
  await runner.kill('SIGTERM');
  const stopped = performance.now() - stopping;
  expect(await runner.exitCode).toBe(0);
  expect((await api.table.getRunner(key.address))?.state).toBe('leaving');
  expect(stopped).toBeLessThan(2_000);
  expect(memory).toBeLessThan(220);
});

describe('killed at any moment and started again, a runner gives the update that it would have given', () => {
  const number = 77;
  let undisturbed: TrainUpdate;
  let task: TrainTask;

  beforeAll(async () => {
    const { start, key } = await runnerIn({ number });
    task = makeTask(key.address, model, { spec: long });
    const runner = await start();
    undisturbed = await updateOf(await ask(temporal, task));
    await runner.kill('SIGTERM');
  });

  const points: [
    string,
    { fault?: TestApi['fault']; reached: (asked: AskedTask, work: string) => Promise<boolean> },
  ][] = [
    [
      'while it fetches the model',
      {
        fault: ({ url }) => (url.includes('/v1/artifacts/') ? never() : null),
        reached: async (_, work) =>
          existsSync(work) && api.requests.some((line) => line.includes('/v1/artifacts/')),
      },
    ],
    ['in the middle of training', { reached: (asked) => progressIs(asked)() }],
    [
      'when it has signed and not yet sent',
      {
        fault: ({ url }) => (url.endsWith('/v1/uploads') ? never() : null),
        reached: async (_, work) => existsSync(join(roundFolder(work, task), 'answer.json')),
      },
    ],
  ];
  test.each(points)('%s', async (name, { fault, reached }) => {
    const { start, work, folder } = await runnerIn({
      number,
      policy: name.includes('training') ? slowly : allowed,
    });
    api.requests.length = 0;
    api.fault = fault ?? null;
    const runner = await start();
    const asked = await ask(temporal, task);
    await until(() => reached(asked, work), name);
    await runner.kill('SIGKILL');
    api.fault = null;
    await writeFile(join(folder, 'policy.yaml'), stringify(allowed));
    const next = await start();
    const { updateRoot, signature, steps, loss } = await updateOf(asked);
    expect({ updateRoot, signature, steps, loss }).toEqual({
      updateRoot: undisturbed.updateRoot,
      signature: undisturbed.signature,
      steps: undisturbed.steps,
      loss: undisturbed.loss,
    });
    expect((await readdir(roundFolder(work, task))).sort()).toEqual(['answer.json', 'update.bin']);
    await next.kill('SIGTERM');
  });

  test('between its seal and its update, and while it sends that', async () => {
    const { start, work, key } = await runnerIn({ number });
    const spec = { ...long, sealFirst: true as const };
    const sealing = makeTask(key.address, model, { spec, job: task.opening.job });
    const first = await start();
    const sealed = await answerOf(await ask(temporal, sealing));
    if (sealed.kind !== 'sealed') throw new Error(`no seal: ${JSON.stringify(sealed)}`);
    await first.kill('SIGKILL');

    const { kind: _, ...entry } = sealed;
    const seals = {
      list: await api.artifacts.put(canonicalBytes([entry])),
      signature: listSignedBy(coordinatorWallet, sealing, [entry]),
    };
    api.fault = ({ url }) => (url.endsWith('/v1/uploads') ? never() : null);
    const second = await start();
    const asked = await ask(temporal, { ...sealing, seals }, { activity: 'reveal' });
    await until(() => existsSync(join(roundFolder(work, sealing), 'answer.json')), 'the signature');
    await second.kill('SIGKILL');
    api.fault = null;

    const third = await start();
    const update = await updateOf(asked);
    expect(update.updateRoot).toBe(undisturbed.updateRoot);
    expect(sealOf(sha256, update.updateRoot, update.runner, update.salt ?? '0x')).toBe(sealed.seal);
    expect(await answerOf(await ask(temporal, sealing))).toEqual(sealed);
    await third.kill('SIGTERM');
  });

  test('its training process, in the middle of training', async () => {
    const { start, work } = await runnerIn({ number, policy: ratherSlowly });
    const runner = await start();
    const asked = await ask(temporal, task, { attempts: 1 });
    await until(isTraining(work, task), 'training');
    await until(() => runner.children().length > 0, 'the training process');
    for (const pid of runner.children()) process.kill(pid, 'SIGKILL');
    expect((await updateOf(asked)).updateRoot).toBe(undisturbed.updateRoot);
    expect(runner.lines).toContain('the training process died; starting it again');
    expect((await readdir(roundFolder(work, task))).sort()).toEqual(['answer.json', 'update.bin']);
    await runner.kill('SIGTERM');
  });

  test('stopped gently in the middle of training, it leaves the task to its next start', async () => {
    const { start, folder, key } = await runnerIn({ number, policy: slowly });
    const runner = await start();
    const asked = await ask(temporal, task);
    await until(progressIs(asked), 'training');
    const began = performance.now();
    await runner.kill('SIGINT');
    expect(performance.now() - began).toBeLessThan(2_000);
    expect((await api.table.getRunner(key.address))?.state).toBe('leaving');
    await writeFile(join(folder, 'policy.yaml'), stringify(allowed));
    const next = await start();
    expect((await updateOf(asked)).updateRoot).toBe(undisturbed.updateRoot);
    await next.kill('SIGTERM');
  });
});

describe('a task that is not wanted any more ends at once', () => {
  test.each(['cancelled', 'of a workflow that was closed'])('%s', async (how) => {
    const { start, key, work } = await runnerIn({ policy: slowly });
    const runner = await start();
    const task = makeTask(key.address, model, { spec: long });
    const asked = await ask(temporal, task, { heartbeatSeconds: 30 });
    await until(progressIs(asked), 'training');
    const training = runner.children();
    expect(training).toHaveLength(1);
    if (how === 'cancelled') {
      await asked.cancel();
      expect(await asked.outcome).toEqual({ kind: 'canceled' });
    } else await asked.terminate();
    await until(() => !runner.children().some((pid) => training.includes(pid)), 'the end of training', 5);
    expect(existsSync(join(roundFolder(work, task), 'answer.json'))).toBe(false);
    await updateOf(await ask(temporal, makeTask(key.address, model)));
    await runner.kill('SIGTERM');
  });
});

describe('what is away is found again', () => {
  test('a runner that starts before its stack', async () => {
    const { folder, key } = await runnerIn();
    await api.stop();
    await endChild(temporalServer, 'SIGKILL');
    const runner = startRunner(folder);
    await until(() => runner.lines.some((line) => line.startsWith('cannot report')), 'a complaint');
    // The stack says where its gatekeeper is, which has no Temporal behind it yet.
    await api.start();
    await until(() => runner.lines.some((line) => line.startsWith('cannot take tasks')), 'a complaint');
    temporalServer = await startTemporal();
    await until(
      () => runner.lines.includes('enrolled') && runner.lines.includes('waiting for tasks'),
      'the runner',
    );
    await updateOf(await ask(temporal, makeTask(key.address, model)));
    await runner.kill('SIGTERM');
  });

  test('Temporal, killed in the middle of training', async () => {
    const { start, key, work } = await runnerIn({ policy: ratherSlowly });
    const runner = await start();
    const task = makeTask(key.address, model, { spec: long });
    const asked = await ask(temporal, task, { heartbeatSeconds: 20 });
    await until(isTraining(work, task), 'training');
    await endChild(temporalServer, 'SIGKILL');
    temporalServer = await startTemporal();
    await updateOf(asked);
    await runner.kill('SIGTERM');
  });

  test('the API, away while an update is sent, and one that has forgotten the runner', async () => {
    const { start, key } = await runnerIn();
    const runner = await start();
    let refused = 0;
    api.fault = ({ url }) =>
      url.endsWith('/v1/uploads') && refused++ < 2
        ? Promise.resolve(new Response('', { status: 503 }))
        : url.endsWith('/seen') && refused < 2
          ? Promise.resolve(Response.json({ code: 'NOT_FOUND', detail: 'never heard of' }, { status: 404 }))
          : null;
    api.requests.length = 0;
    await updateOf(await ask(temporal, makeTask(key.address, model)));
    expect(refused).toBeGreaterThanOrEqual(3);
    await runner.kill('SIGTERM');
    api.fault = ({ url }) =>
      url.endsWith('/seen')
        ? Promise.resolve(Response.json({ code: 'NOT_FOUND', detail: 'never heard of' }, { status: 404 }))
        : null;
    const next = await start();
    await until(() => next.lines.filter((line) => line === 'enrolled').length >= 2, 'a second enrolment');
    await next.kill('SIGTERM');
  });
});

test('new data is announced, and a new data set served', async () => {
  const { start, key, folder, data } = await runnerIn();
  const runner = await start();
  await writeData(data, 44);
  await mkdir(join(folder, 'data'), { recursive: true });
  await writeData(join(folder, 'data', 'letters.safetensors'), 10);
  await until(async () => (await api.table.getRunner(key.address))?.data.length === 2, 'the new enrolment');
  expect((await updateOf(await ask(temporal, makeTask(key.address, model)))).samples).toBe(44);
  await runner.kill('SIGTERM');
});

describe('a failure that would come back is not tried again', () => {
  test('weights that are not finite', async () => {
    const { start, key } = await runnerIn();
    const runner = await start();
    const spec = smallSpec({ training: { epochs: 50, optimizer: { name: 'sgd', lr: 100 } } });
    spec.training.optimizer.lr = 100;
    const wild = await storeModel(api.artifacts, smallModel(1e19));
    const outcome = await (await ask(temporal, makeTask(key.address, wild, { spec }))).outcome;
    expect(outcome).toMatchObject({ kind: 'failed', type: 'TRAINING_NOT_FINITE' });
    await runner.kill('SIGTERM');
  });

  test('a refusal is an answer', async () => {
    const { start, key } = await runnerIn({ policy: {} });
    const runner = await start();
    const outcome = await (await ask(temporal, makeTask(key.address, model))).outcome;
    expect(outcome).toMatchObject({ kind: 'answered', answer: { kind: 'refused', code: 'POLICY_REFUSED' } });
    await runner.kill('SIGTERM');
  });
});

test('a second runner on the same home does not start', async () => {
  const { start, folder } = await runnerIn();
  const runner = await start();
  const second = startRunner(folder);
  expect(await second.exitCode).toBe(1);
  expect(second.lines.join()).toMatch(/Another runner/);
  await runner.kill('SIGTERM');
});

test('packed and unpacked in an empty folder, it needs only the packages that its manifest names', async () => {
  const run = promisify(execFile);
  const folder = await temporaryFolder();
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: join(projectRoot, 'dist', 'runner'),
  });
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  await run('tar', ['-xzf', join(folder, filename), '-C', folder]);
  const root = join(folder, 'package');
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  // As an installation would lay them out, without its minute.
  for (const name of Object.keys(manifest.dependencies)) {
    const place = join(root, 'node_modules', name);
    await mkdir(dirname(place), { recursive: true });
    await symlink(join(projectRoot, 'node_modules', name), place);
  }
  const { folder: home, key } = await runnerIn();
  const runner = startRunner(home, join(root, 'runner.js'));
  await until(() => runner.lines.includes('waiting for tasks'), 'the runner');
  await updateOf(await ask(temporal, makeTask(key.address, model)));
  await runner.kill('SIGTERM');
});
