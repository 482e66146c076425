import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { ModelRef, TrainTask } from '#core/messages.js';
import { LocalStatistics } from '#gpu-runner/localStatistics.js';
import { temporaryFolder } from './folder.js';
import { makeTask, smallSpec } from './task.js';

const runner = `0x${'aa'.repeat(20)}` as const;
const hash = (digit: string): `0x${string}` => `0x${digit.repeat(64)}`;
const model: ModelRef = {
  graph: hash('1'),
  params: hash('2'),
  state: null,
  paramsRoot: hash('3'),
  stepsHash: hash('4'),
  stateRoot: hash('0'),
  versionId: hash('5'),
};
const job = hash('7');
const round = (number: number, change: Partial<Parameters<typeof makeTask>[2]> = {}) =>
  makeTask(runner, model, { job, round: number, ...change });

async function open() {
  const folder = await temporaryFolder();
  const statistics = new LocalStatistics(join(folder, 'statistics'));
  const keep = async (task: TrainTask, text: string) => {
    const path = join(folder, 'trained');
    await writeFile(path, text);
    await statistics.keep(task, path);
  };
  const before = async (task: TrainTask) => {
    const path = await statistics.before(task);
    return path === undefined ? undefined : readFile(path, 'utf8');
  };
  return { keep, before };
}

test('a round starts from what the one before it left', async () => {
  const { keep, before } = await open();
  expect(await before(round(1))).toBeUndefined();
  await keep(round(1), 'one');
  await keep(round(2), 'two');
  expect(await before(round(3))).toBe('two');
});

test('a round that is trained again starts from where it started', async () => {
  const { keep, before } = await open();
  await keep(round(1), 'one');
  await keep(round(2), 'two');
  expect(await before(round(2))).toBe('one');
  await keep(round(2), 'two again');
  expect(await before(round(3))).toBe('two again');
  expect(await before(round(1))).toBeUndefined();
});

test('the next job of the name goes on, one of another name or network does not', async () => {
  const { keep, before } = await open();
  await keep(round(9), 'nine');
  expect(await before(round(1, { job: hash('8') }))).toBe('nine');
  expect(await before(round(10, { spec: smallSpec({ name: 'others' }) }))).toBeUndefined();
  expect(await before(makeTask(runner, { ...model, graph: hash('6') }, { job }))).toBeUndefined();
});

test('a hundred rounds leave few files, and the newest', async () => {
  const { keep, before } = await open();
  for (let number = 1; number <= 12; number++) await keep(round(number), String(number));
  expect(await before(round(13))).toBe('12');
  expect(await before(round(12))).toBe('11');
  // What lies further back is gone.
  expect(await before(round(2))).toBe('12');
});
