import { existsSync } from 'node:fs';
import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { verifyTypedData } from 'ethers/hash';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import { toHex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { ModelRef } from '#core/messages.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { sha256 } from '#services/sha256.js';
import { openUpdate } from '#services/updateSealing.js';
import { chain, coordinator, sealing, startApi, type TestApi } from './api.js';
import { allowed } from './home.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';
import { makeRunner, roundFolder, storedUpdate, updateOf } from './taskRunner.js';

let api: TestApi;
let model: ModelRef;

beforeAll(async () => {
  api = await startApi();
  model = await storeModel(api.artifacts, smallModel());
});

describe('an update', () => {
  test('is what was trained, signed for the opening, and stored under its hash', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    const answer = await updateOf(runner.train(task));
    const sealed = await storedUpdate(api, task, answer);
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
    const runner = await makeRunner(api, { policy: { ...allowed, throttle: 3 } });
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
    const [one, two] = [await makeRunner(api), await makeRunner(api)];
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

describe('failures have codes', () => {
  test('UPDATE_NOT_FINITE when training gave NaN', async () => {
    const runner = await makeRunner(api);
    runner.trainer.change = (value, index) => (index === 3 ? NaN : value);
    const task = makeTask(runner.key.address, model);
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'UPDATE_NOT_FINITE' });
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(false);
  });

  test('NOT_FOUND when the stack does not have the model', async () => {
    const runner = await makeRunner(api);
    const params = `0x${'12'.repeat(32)}` as const;
    await expect(runner.train(makeTask(runner.key.address, { ...model, params }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('FORBIDDEN when the chain does not know the runner', async () => {
    const runner = await makeRunner(api);
    api.registered.delete(runner.key.address);
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('a training process that dies is started again, twice', async () => {
    const runner = await makeRunner(api);
    runner.trainer.before = (attempt) => (attempt < 3 ? died() : undefined);
    await updateOf(runner.train(makeTask(runner.key.address, model)));
    runner.trainer.before = died;
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toMatchObject({
      code: 'TRAINING_CHILD_DIED',
    });
    expect(runner.trainer.requests).toHaveLength(6);
  });

  test('a cancelled task ends at once and leaves nothing that was signed', async () => {
    const runner = await makeRunner(api);
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
    const runner = await makeRunner(api);
    if (process.getuid?.() === 0) return;
    await chmod(runner.work, 0o500);
    await expect(runner.train(makeTask(runner.key.address, model))).rejects.toThrow(/EACCES/);
  });
});

function died(): never {
  throw new RoundtableError('TRAINING_CHILD_DIED', 'killed');
}
