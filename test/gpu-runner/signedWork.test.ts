import { existsSync } from 'node:fs';
import { rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { TrainUpdate } from '#core/messages.js';
import { SignedWork } from '#gpu-runner/signedWork.js';
import { sha256Hex } from '#services/sha256.js';
import { temporaryFolder } from './folder.js';

const job = `0x${'01'.repeat(32)}` as const;
const openHash = `0x${'02'.repeat(32)}` as const;

function answerOf(update: Uint8Array, root = '03'): TrainUpdate {
  return {
    kind: 'update',
    runner: `0x${'aa'.repeat(20)}`,
    file: sha256Hex(update),
    bytes: update.length,
    updateRoot: `0x${root.repeat(32)}`,
    dimension: 1,
    samples: 1,
    steps: 1,
    saturated: 0,
    signature: `0x${root.repeat(64)}1b`,
    training: { onnxruntime: '1', provider: 'cpu', cpu: 'x', threads: 1 },
    loss: 0.5,
    seconds: 1,
  };
}

test('what was kept is found again, file and answer', async () => {
  const folder = await temporaryFolder();
  const update = new Uint8Array([1, 2, 3]);
  await new SignedWork(folder).keep(job, 1, { openHash, answer: answerOf(update) }, update);
  const work = new SignedWork(folder);
  const found = await work.find(job, 1);
  expect(found).toEqual({ openHash, answer: answerOf(update) });
  expect(await work.update(job, 1, answerOf(update))).toEqual(Buffer.from(update));
  expect(await work.find(job, 2)).toBeNull();
});

test('a second, different update is never kept for a round', async () => {
  const work = new SignedWork(await temporaryFolder());
  const update = new Uint8Array([1]);
  await work.keep(job, 1, { openHash, answer: answerOf(update) }, update);
  const other = new Uint8Array([2]);
  await expect(work.keep(job, 1, { openHash, answer: answerOf(other, '04') }, other)).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  await expect(
    work.keep(job, 1, { openHash: `0x${'05'.repeat(32)}`, answer: answerOf(update) }, update),
  ).rejects.toMatchObject({ code: 'CONFLICT' });
  expect((await work.find(job, 1))?.answer).toEqual(answerOf(update));
  expect(await work.update(job, 1, answerOf(update))).toEqual(Buffer.from(update));
});

test('a damaged update file counts as gone, a damaged record stops the runner from signing again', async () => {
  const folder = await temporaryFolder();
  const work = new SignedWork(folder);
  const update = new Uint8Array([1, 2, 3]);
  await work.keep(job, 1, { openHash, answer: answerOf(update) }, update);
  const place = await work.open(job, 1);
  await writeFile(join(place, 'update.bin'), 'other');
  expect(await work.update(job, 1, answerOf(update))).toBeNull();
  await rm(join(place, 'update.bin'));
  expect(await work.update(job, 1, answerOf(update))).toBeNull();
  await writeFile(join(place, 'answer.json'), '{"openHash": "0x');
  await expect(work.find(job, 1)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  await writeFile(join(place, 'answer.json'), '{}');
  await expect(work.find(job, 1)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
});

test('update files of old rounds are removed, answers never', async () => {
  const folder = await temporaryFolder();
  const work = new SignedWork(folder);
  for (let round = 1; round <= 10; round++) {
    const update = new Uint8Array([round]);
    await work.keep(job, round, { openHash, answer: answerOf(update) }, update);
    await work.trim();
  }
  const files = async (round: number) => existsSync(join(await work.open(job, round), 'update.bin'));
  expect(await Promise.all([1, 2, 3, 10].map(files))).toEqual([false, false, true, true]);
  expect(await work.find(job, 1)).not.toBeNull();
});

test('the update of a round that may still ask for it is kept, however many others come', async () => {
  const folder = await temporaryFolder();
  const update = new Uint8Array([1]);
  const jobs = Array.from({ length: 12 }, (_, at) => `0x${String(10 + at).repeat(32)}` as const);
  const keepAll = async (work: SignedWork, round: number) => {
    for (const one of jobs) {
      await work.keep(one, round, { openHash, answer: answerOf(update) }, update);
      await work.trim();
    }
  };
  const work = new SignedWork(folder);
  await keepAll(work, 1);
  // As after a restart: what is there is found on the disk.
  const later = new SignedWork(folder);
  await later.trim();
  const there = (round: number) =>
    Promise.all(jobs.map(async (one) => existsSync(join(await later.open(one, round), 'update.bin'))));
  expect(await there(1)).toEqual(jobs.map(() => true));
  await keepAll(later, 2);
  expect(await there(1)).toEqual(jobs.map(() => false));
  expect(await there(2)).toEqual(jobs.map(() => true));
  const [first = job] = jobs;
  const weekAgo = new Date(Date.now() - 8 * 86_400_000);
  await utimes(join(await later.open(first, 2), 'update.bin'), weekAgo, weekAgo);
  await new SignedWork(folder).trim();
  expect(await there(2)).toEqual(jobs.map((one) => one !== first));
});
