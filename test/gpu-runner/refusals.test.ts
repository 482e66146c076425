import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { ModelRef, TrainTask } from '#core/messages.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { generateX25519Key } from '#services/x25519.js';
import { chain, startApi, type TestApi } from './api.js';
import { writeData } from './data.js';
import { allowed, makeHome } from './home.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';
import { makeRunner, updateOf } from './taskRunner.js';

let api: TestApi;
let model: ModelRef;

beforeAll(async () => {
  api = await startApi();
  model = await storeModel(api.artifacts, smallModel());
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
    const runner = await makeRunner(api);
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
    const runner = await makeRunner(api, change);
    const answer = await runner.train(makeTask(runner.key.address, model));
    expect(answer).toMatchObject({
      kind: 'refused',
      code: 'POLICY_REFUSED',
      reason: expect.stringMatching(reason),
    });
  });

  test('a policy that cannot be read allows nothing, and one that was corrected counts at once', async () => {
    const runner = await makeRunner(api);
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
    const runner = await makeRunner(api, {
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
    const runner = await makeRunner(api);
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
    const runner = await makeRunner(api);
    const other = await storeModel(api.artifacts, smallModel(0.25));
    const coarse = await storeModel(api.artifacts, smallModel(3));
    for (const { params } of [other, coarse]) {
      const answer = await runner.train(makeTask(runner.key.address, { ...model, params }));
      expect(answer).toMatchObject({ kind: 'refused', code: 'OPENING_INVALID' });
    }
  });

  test('an update with more saturated values than the job allows; with fewer they are counted', async () => {
    const runner = await makeRunner(api);
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
