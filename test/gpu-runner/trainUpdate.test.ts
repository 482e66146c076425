import { existsSync } from 'node:fs';
import { appendFile, chmod, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { verifyTypedData } from 'ethers/hash';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { ModelRef, TrainAnswer, TrainTask, TrainUpdate } from '#core/messages.js';
import { trainAnswer } from '#core/messages.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { Bandwidth } from '#gpu-runner/bandwidth.js';
import { DataSets } from '#gpu-runner/dataSets.js';
import { DecisionLog } from '#gpu-runner/decisionLog.js';
import { unlockKey } from '#gpu-runner/keystore.js';
import type { Log } from '#gpu-runner/log.js';
import { ModelCache } from '#gpu-runner/modelCache.js';
import type { AnnouncedKey } from '#gpu-runner/readers.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { SignedWork } from '#gpu-runner/signedWork.js';
import { Turns } from '#gpu-runner/turns.js';
import { trainUpdate } from '#gpu-runner/trainUpdate.js';
import { noTraces } from '#services/telemetry/traces.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { openUpdate } from '#services/updateSealing.js';
import { generateX25519Key } from '#services/x25519.js';
import { chain, coordinator, sealing, startApi, type TestApi } from './api.js';
import { writeData } from './data.js';
import { allowed, clientOf, makeHome } from './home.js';
import { LightTrainer } from './lightTrainer.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';

let api: TestApi;
let model: ModelRef;

beforeAll(async () => {
  api = await startApi();
  model = await storeModel(api.artifacts, smallModel());
});
beforeEach(() => {
  api.fault = null;
  api.requests.length = 0;
});

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A runner without Temporal: tasks go straight to its activity. */
async function makeRunner(change: Parameters<typeof makeHome>[1] & { announcedKey?: AnnouncedKey } = {}) {
  const made = await makeHome(api, change);
  const trainer = new LightTrainer();
  const control = new AbortController();
  const train = async (task: unknown): Promise<TrainAnswer> => {
    // Everything anew for each task, as after a restart.
    const home = await readRunnerHome(made.folder);
    const { key } = await unlockKey(home.paths, () => Promise.reject(new Error('no passphrase')));
    const stack = clientOf(api, key);
    const models = new ModelCache(home.paths.models, stack);
    const dataSets = new DataSets(home.paths.data, () => undefined);
    const parts = {
      home,
      key,
      stack,
      models,
      bandwidth: new Bandwidth(),
      announcedKey: change.announcedKey ?? null,
      dataSets,
      work: new SignedWork(home.paths.work),
      trainer,
      turns: new Turns(),
      decisions: await DecisionLog.open(home.paths, key),
      coordinator,
      log: silent,
      traces: noTraces,
    };
    const answer = await trainUpdate(parts, task, { signal: control.signal, onProgress: () => undefined });
    return trainAnswer.parse(JSON.parse(JSON.stringify(answer)));
  };
  return { ...made, trainer, control, train, work: join(made.folder, 'work') };
}

async function updateOf(answer: Promise<TrainAnswer>): Promise<TrainUpdate> {
  const given = await answer;
  if (given.kind !== 'update') throw new Error(`refused: ${given.code}: ${given.reason}`);
  return given;
}

const storedUpdate = ({ opening: { job, round } }: TrainTask, { runner, file, bytes }: TrainUpdate) =>
  api.updates.get({ job, round, runner, file }, bytes);

const roundFolder = (work: string, { opening }: TrainTask): string =>
  join(work, opening.job.slice(2), String(opening.round));

describe('an update', () => {
  test('is what was trained, signed for the opening, and stored under its hash', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    const answer = await updateOf(runner.train(task));
    const sealed = await storedUpdate(task, answer);
    const { job, round } = task.opening;
    const reader = { id: coordinator, privateKey: sealing.privateKey };
    const file = openUpdate(sealed, reader, { job, round, runner: runner.key.address });
    expect(answer).toMatchObject({
      bytes: sealed.length,
      samples: 40,
      steps: 10,
      saturated: 0,
      dimension: 4 * 8 + 8 + 16 + 2,
    });
    const { header, delta } = decodeUpdateFile(file);
    expect(header).toMatchObject({
      job: task.opening.job,
      round: 1,
      runner: runner.key.address,
      ring: 'i32',
    });
    expect(toHex(valuesRoot(sha256, LEAF.update, delta))).toBe(answer.updateRoot);
    // Every weight moved by (seed byte - 128) / 4096 on a grid of 2^-26, but for the rounding of float32.
    const seed = runner.trainer.requests[0]?.seed ?? new Uint8Array();
    delta.forEach((value, i) =>
      expect(Math.abs(value - ((seed[i % 32] ?? 0) - 128) * 2 ** 14)).toBeLessThanOrEqual(4),
    );
    const statement = {
      job: task.opening.job,
      round: 1,
      openHash: task.opening.openHash,
      updateRoot: answer.updateRoot,
      dimension: answer.dimension,
      samples: answer.samples,
      steps: answer.steps,
    };
    const domain = updateDomain(chain.chainId, chain.jobs);
    expect(verifyTypedData(domain, updateTypes, statement, answer.signature).toLowerCase()).toBe(
      runner.key.address,
    );
  });

  test('is trained with what the spec and the policy say', async () => {
    const runner = await makeRunner({ policy: { ...allowed, throttle: 3 } });
    const spec = smallSpec({
      training: { epochs: 2, batch: 5, prox: 0.5, optimizer: { name: 'sgd', lr: 0.25 } },
    });
    await updateOf(runner.train(makeTask(runner.key.address, model, { spec })));
    expect(runner.trainer.requests[0]).toMatchObject({
      epochs: 2,
      batch: 5,
      prox: 0.5,
      optimizer: { name: 'sgd', lr: 0.25 },
      throttle: 3,
      data: runner.data,
    });
  });

  test('differs between rounds and between runners, and leaves no scratch behind', async () => {
    const [one, two] = [await makeRunner(), await makeRunner()];
    const task = makeTask(one.key.address, model);
    const job = task.opening.job;
    const roots = await Promise.all([
      updateOf(one.train(task)),
      updateOf(two.train(makeTask(two.key.address, model, { job }))),
    ]);
    roots.push(await updateOf(one.train(makeTask(one.key.address, model, { job, round: 2 }))));
    expect(new Set(roots.map(({ updateRoot }) => updateRoot)).size).toBe(3);
    expect((await readdir(roundFolder(one.work, task))).sort()).toEqual(['answer.json', 'update.bin']);
  });
});

describe('a runner signs once for a round', () => {
  test('the same task again gives the same answer, without training and without sending the bytes again', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    const first = await updateOf(runner.train(task));
    runner.trainer.change = (value) => value + 1;
    expect(await updateOf(runner.train(task))).toEqual(first);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  test('an update that never arrived is sent again as it was signed', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    api.fault = ({ url }) => (url.endsWith('/v1/uploads') ? new Response('', { status: 503 }) : null);
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(true);
    api.fault = null;
    runner.trainer.change = (value) => value + 1;
    const answer = await updateOf(runner.train(task));
    expect(sha256Hex(await storedUpdate(task, answer))).toBe(answer.file);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  test('for another opening of the round it refuses', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    await updateOf(runner.train(task));
    const other = makeTask(runner.key.address, model, {
      job: task.opening.job,
      others: [`0x${'ff'.repeat(20)}`],
    });
    expect(await runner.train(other)).toMatchObject({ kind: 'refused', code: 'ALREADY_SIGNED' });
  });

  test('an update file that was cleaned away is made again, and must come out the same', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    const first = await updateOf(runner.train(task));
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    const { file, ...second } = await updateOf(runner.train(task));
    // Sealed anew, it is another file of the same update.
    expect({ ...second, file: first.file }).toEqual(first);
    expect(sha256Hex(await storedUpdate(task, { ...first, file }))).toBe(file);
    expect(runner.trainer.requests).toHaveLength(2);
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    runner.trainer.change = (value) => value + 0.001;
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('a damaged record stops it', async () => {
    const runner = await makeRunner();
    const task = makeTask(runner.key.address, model);
    await updateOf(runner.train(task));
    await appendFile(join(roundFolder(runner.work, task), 'answer.json'), '}');
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});

describe('a refusal is an answer with code and reason', () => {
  type Change = (task: TrainTask) => unknown;
  const stranger = `0x${'ee'.repeat(20)}` as const;
  const zero = `0x${'00'.repeat(32)}` as const;
  const wrong: [string, string, Change][] = [
    ['that is no task', 'INVALID_INPUT', () => ({ hello: 'world' })],
    ['of another protocol', 'INVALID_INPUT', (task) => ({ ...task, protocol: 2 })],
    ['for another runner', 'TASK_NOT_MINE', (task) => ({ ...task, runner: stranger })],
    ['of another coordinator', 'TASK_NOT_MINE', (task) => ({ ...task, coordinator: stranger })],
    [
      'for another contract',
      'TASK_NOT_MINE',
      (task) => ({ ...task, domain: { ...task.domain, jobs: stranger } }),
    ],
    ['for another chain', 'TASK_NOT_MINE', (task) => ({ ...task, domain: { ...task.domain, chainId: 1 } })],
    ['with another spec', 'OPENING_INVALID', (task) => ({ ...task, spec: { ...task.spec, rounds: 9 } })],
    ['with another model', 'OPENING_INVALID', (task) => ({ ...task, model: { ...task.model, graph: zero } })],
    [
      'with another version',
      'OPENING_INVALID',
      (task) => ({ ...task, model: { ...task.model, versionId: zero } }),
    ],
    [
      'with a false open hash',
      'OPENING_INVALID',
      (task) => ({ ...task, opening: { ...task.opening, openHash: zero } }),
    ],
    [
      'of another round than opened',
      'OPENING_INVALID',
      (task) => ({ ...task, opening: { ...task.opening, round: 2 } }),
    ],
    [
      'with another shift',
      'OPENING_INVALID',
      (task) => ({ ...task, opening: { ...task.opening, shift: 1 } }),
    ],
    [
      'that did not select it',
      'OPENING_INVALID',
      (task) => ({
        ...task,
        opening: { ...task.opening, selection: [{ runner: stranger, maxSamples: 100 }] },
      }),
    ],
    [
      'that names another runner beside it',
      'OPENING_INVALID',
      (task) => ({
        ...task,
        opening: {
          ...task.opening,
          selection: [...task.opening.selection, { runner: `0x${'ff'.repeat(20)}`, maxSamples: 1 }],
        },
      }),
    ],
    [
      'that puts it elsewhere in the selection',
      'OPENING_INVALID',
      (task) => ({ ...task, place: { index: 1, count: 2, proof: [ZERO_HASH] } }),
    ],
    [
      'that allows it more samples than the round committed to',
      'OPENING_INVALID',
      (task) => ({
        ...task,
        opening: {
          ...task.opening,
          selection: task.opening.selection.map((own) => ({ ...own, maxSamples: own.maxSamples + 1 })),
        },
      }),
    ],
  ];
  test.each(wrong)('a task %s: %s', async (_, code, change) => {
    const runner = await makeRunner();
    const answer = await runner.train(change(makeTask(runner.key.address, model)));
    expect(answer).toEqual({ kind: 'refused', runner: runner.key.address, code, reason: expect.any(String) });
    expect(runner.trainer.requests).toHaveLength(0);
    expect(await readdir(runner.work)).toEqual([]);
  });

  const rule = { coordinators: [chain.jobs as `0x${string}`], jobs: ['*'], data: ['digits'] };
  const own = allowed.allow?.[0] ?? rule;
  const policies: [string, Parameters<typeof makeHome>[1], RegExp][] = [
    ['nothing', { policy: {} }, /not allowed any job yet/],
    ['another coordinator', { policy: { allow: [rule] } }, /tasks of coordinator/],
    ['other jobs', { policy: { allow: [{ ...own, jobs: ['letters-*', 'digit'] }] } }, /the job digits/],
    ['other data', { policy: { allow: [{ ...own, data: ['letters'] }] } }, /training on digits/],
    ['larger rounds', { policy: { allow: [{ ...own, fewestRunners: 2 }] } }, /rounds of fewer than 2/],
  ];
  test.each(policies)('a policy that allows %s', async (_, change, reason) => {
    const runner = await makeRunner(change);
    const answer = await runner.train(makeTask(runner.key.address, model));
    expect(answer).toMatchObject({
      kind: 'refused',
      code: 'POLICY_REFUSED',
      reason: expect.stringMatching(reason),
    });
  });

  test('a policy that cannot be read allows nothing, and one that was corrected counts at once', async () => {
    const runner = await makeRunner();
    const path = join(runner.folder, 'policy.yaml');
    const task = makeTask(runner.key.address, model);
    const home = await makeHome(api);
    await writeFile(path, 'allow: everything');
    await expect(readRunnerHome(runner.folder)).rejects.toMatchObject({ code: 'HOME_INVALID' });
    await rm(path);
    expect(await runner.train(task)).toMatchObject({ kind: 'refused', code: 'POLICY_REFUSED' });
    const { readFile } = await import('node:fs/promises');
    await writeFile(path, await readFile(join(home.folder, 'policy.yaml')));
    await updateOf(runner.train(task));
  });

  test('readers without the coordinator, one twice, or with keys that their members have not announced', async () => {
    const auditor = `0x${'a7'.repeat(20)}` as const;
    const publicKey = toHex(generateX25519Key().publicKey);
    const [own] = smallSpec().updates.recipients;
    if (!own) throw new Error('no reader');
    const announced = new Map([own, { member: auditor, publicKey }].map((r) => [r.member, r.publicKey]));
    const runner = await makeRunner({
      announcedKey: (member) => Promise.resolve(announced.get(member) ?? null),
    });
    const train = (recipients: { member: Hex; publicKey: Hex }[]) => {
      const spec = { ...smallSpec(), updates: { recipients } };
      return runner.train(makeTask(runner.key.address, model, { spec }));
    };
    const refused = { kind: 'refused', code: 'READERS_REFUSED' };
    expect(await train([{ member: auditor, publicKey }])).toMatchObject(refused);
    expect(await train([own, own])).toMatchObject(refused);
    expect(await train([own, { member: auditor, publicKey: own.publicKey }])).toMatchObject(refused);
    expect(await train([own, { member: `0x${'a8'.repeat(20)}`, publicKey }])).toMatchObject(refused);
    expect(runner.trainer.requests).toHaveLength(0);
    expect(await train([own, { member: auditor, publicKey }])).toMatchObject({ kind: 'update' });
  });

  test('data that is not there, has another shape or too many classes, or has grown', async () => {
    const runner = await makeRunner();
    const { address } = runner.key;
    const of = async (change: Parameters<typeof makeTask>[2]) =>
      runner.train(makeTask(address, model, change));
    const spec = smallSpec();
    expect(await of({ maxSamples: 39 })).toMatchObject({ code: 'SAMPLES_EXCEEDED' });
    const square = { ...spec, data: { ...spec.data, input: [2, 2] } };
    expect(await of({ spec: square })).toMatchObject({ code: 'MODEL_SHAPE_MISMATCH' });
    await writeData(runner.data, 40, { labels: Array.from({ length: 40 }, (_, i) => i % 3) });
    expect(await of({})).toMatchObject({ code: 'MODEL_SHAPE_MISMATCH' });
    await rm(runner.data);
    expect(await of({})).toMatchObject({ kind: 'refused', code: 'DATA_NOT_SERVED' });
  });

  test('a parameter file that is not the committed version', async () => {
    const runner = await makeRunner();
    const other = await storeModel(api.artifacts, smallModel(0.25));
    const coarse = await storeModel(api.artifacts, smallModel(3));
    for (const { params } of [other, coarse]) {
      const answer = await runner.train(makeTask(runner.key.address, { ...model, params }));
      expect(answer).toMatchObject({ kind: 'refused', code: 'OPENING_INVALID' });
    }
  });

  test('an update with more saturated values than the job allows; with fewer they are counted', async () => {
    const runner = await makeRunner();
    runner.trainer.change = (value, index) => (index < 2 ? 1_000 : value);
    const task = makeTask(runner.key.address, model);
    expect(await runner.train(task)).toMatchObject({ kind: 'refused', code: 'UPDATE_SATURATED' });
    const spec = smallSpec();
    spec.participants.allowSaturated = 2;
    expect(await updateOf(runner.train(makeTask(runner.key.address, model, { spec })))).toMatchObject({
      saturated: 2,
    });
  });
});

describe('failures have codes', () => {
  test('UPDATE_NOT_FINITE when training gave NaN', async () => {
    const runner = await makeRunner();
    runner.trainer.change = (value, index) => (index === 3 ? NaN : value);
    const task = makeTask(runner.key.address, model);
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'UPDATE_NOT_FINITE' });
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(false);
  });

  test('NOT_FOUND when the stack does not have the model', async () => {
    const runner = await makeRunner();
    const params = `0x${'12'.repeat(32)}` as const;
    await expect(runner.train(makeTask(runner.key.address, { ...model, params }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('FORBIDDEN when the chain does not know the runner', async () => {
    const runner = await makeRunner();
    api.registered.delete(runner.key.address);
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('a training process that dies is started again, twice', async () => {
    const runner = await makeRunner();
    runner.trainer.before = (attempt) => (attempt < 3 ? died() : undefined);
    await updateOf(runner.train(makeTask(runner.key.address, model)));
    runner.trainer.before = died;
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toMatchObject({
      code: 'TRAINING_CHILD_DIED',
    });
    expect(runner.trainer.requests).toHaveLength(6);
  });

  test('a cancelled task ends at once and leaves nothing that was signed', async () => {
    const runner = await makeRunner();
    runner.trainer.before = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new RoundtableError('TRAINING_ABORTED', 'aborted')));
        runner.control.abort(new Error('the round is over'));
      });
    const task = makeTask(runner.key.address, model);
    await expect(runner.train(task)).rejects.toThrow(/the round is over/);
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(false);
  });

  test('a folder that cannot be written to is no silent loss', async () => {
    const runner = await makeRunner();
    if (process.getuid?.() === 0) return;
    await chmod(runner.work, 0o500);
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toThrow(/EACCES/);
  });
});

function died(): never {
  throw new RoundtableError('TRAINING_CHILD_DIED', 'killed');
}
