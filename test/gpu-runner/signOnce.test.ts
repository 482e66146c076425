import { existsSync } from 'node:fs';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ModelRef } from '#core/messages.js';
import { sha256Hex } from '#services/sha256.js';
import { startApi, type TestApi } from './api.js';
import { makeTask, smallModel, storeModel } from './task.js';
import { makeRunner, roundFolder, storedUpdate, updateOf } from './taskRunner.js';

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

describe('a runner signs once for a round', () => {
  test('the same task again gives the same answer, without training and without sending the bytes again', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    const first = await updateOf(runner.train(task));
    runner.trainer.change = (value) => value + 1;
    expect(await updateOf(runner.train(task))).toEqual(first);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  test('an update that never arrived is sent again as it was signed', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    api.fault = ({ url }) => (url.endsWith('/v1/uploads') ? new Response('', { status: 503 }) : null);
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(true);
    api.fault = null;
    runner.trainer.change = (value) => value + 1;
    const answer = await updateOf(runner.train(task));
    expect(sha256Hex(await storedUpdate(api, task, answer))).toBe(answer.file);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  // With determinism: fast nothing else could be sent: training again would end at other numbers.
  test('an update that never arrived is still there after rounds of many other jobs', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    api.fault = ({ url }) => (url.endsWith('/v1/uploads') ? new Response('', { status: 503 }) : null);
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    api.fault = null;
    for (let other = 1; other <= 9; other++)
      await updateOf(runner.train(makeTask(runner.key.address, model)));
    const trained = runner.trainer.requests.length;
    runner.trainer.change = (value) => value + 1;
    const answer = await updateOf(runner.train(task));
    expect(sha256Hex(await storedUpdate(api, task, answer))).toBe(answer.file);
    expect(runner.trainer.requests).toHaveLength(trained);
  });

  test('for another opening of the round it refuses', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    await updateOf(runner.train(task));
    const other = makeTask(runner.key.address, model, {
      job: task.opening.job,
      others: [`0x${'ff'.repeat(20)}`],
    });
    expect(await runner.train(other)).toMatchObject({ kind: 'refused', code: 'ALREADY_SIGNED' });
  });

  test('an update file that was cleaned away is made again, and must come out the same', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    const first = await updateOf(runner.train(task));
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    const { file, ...second } = await updateOf(runner.train(task));
    // Sealed anew, it is another file of the same update.
    expect({ ...second, file: first.file }).toEqual(first);
    expect(sha256Hex(await storedUpdate(api, task, { ...first, file }))).toBe(file);
    expect(runner.trainer.requests).toHaveLength(2);
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    runner.trainer.change = (value) => value + 0.001;
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('a damaged record stops it', async () => {
    const runner = await makeRunner(api);
    const task = makeTask(runner.key.address, model);
    await updateOf(runner.train(task));
    await appendFile(join(roundFolder(runner.work, task), 'answer.json'), '}');
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});
