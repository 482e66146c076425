/** Updates go when nothing can be brought against their round any more, and not before: on a real chain and store. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketName } from '#core/names.js';
import type { JobView } from '#core/views.js';
import { ensureBucket, openArtifacts } from '#services/artifacts.js';
import { openBucket } from '#services/s3.js';
import { sha256Hex } from '#services/sha256.js';
import { openUpdates, updateKey, type Updates } from '#services/updates.js';
import { forgetUpdates } from '#workflows/activities/retention.js';
import type { Dependencies } from '#workflows/activities/dependencies.js';
import { prepareCoordinator, writeHistory, type History } from '../audit/history.js';
import { startChainStack, type ChainStack } from '../services/chainStack.js';
import { startStores, type Stores } from '../services/realParts.js';
import { exampleJob } from '../services/views.js';

const runner = `0x${'11'.repeat(20)}` as const;
let chain: ChainStack;
let stores: Stores;
let updates: Updates;
let history: History;
let row: JobView;

beforeAll(async () => {
  chain = await startChainStack();
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  updates = openUpdates({ bucket: bucketName });
  await prepareCoordinator(chain);
  history = await writeHistory(chain, 'retained');
  row = exampleJob({ job: history.job, state: 'running' });
});
afterAll(async () => {
  await chain?.stop();
  await stores?.stop();
});

const data = randomBytes(100);
async function store(round: number): Promise<void> {
  const file = sha256Hex(data);
  const key = updateKey({ job: history.job, round, runner, file });
  await openBucket({ bucket: bucketName }).write(key, data, file);
}

/** The activity as the worker has it; the chain's window is the real one. */
const forget = (change: Partial<Dependencies['chain']> = {}) =>
  forgetUpdates(
    {
      chain: { ...chain.chain, ...change },
      updates,
      windowSeconds: 100,
      table: { getJob: async () => row },
    } as unknown as Dependencies,
    history.job,
  );

test('while its window is open, or a question about the job is, a round keeps its updates', async () => {
  for (const round of [1, 2]) await store(round);
  const open = { isFinal: () => Promise.resolve(false) };
  expect(await forget(open)).toEqual({ over: false, waitSeconds: 25 });
  expect(await updates.rounds(history.job)).toEqual([1, 2]);
});

test('a chain that does not answer, or does not show the job at present, costs no update', async () => {
  await expect(forget({ rounds: () => Promise.reject(new Error('away')) })).rejects.toThrow('away');
  const shown = { job: async () => null, rounds: async () => [], isFinal: async () => false };
  expect(await forget(shown)).toMatchObject({ over: false });
  expect(await updates.rounds(history.job)).toEqual([1, 2]);
});

test('rounds that are final on chain lose theirs, one still open keeps them; shared bytes stay a model', async () => {
  const model = await openArtifacts({ bucket: bucketName }).put(data);
  await store(3);
  await chain.anvil.provider.send('evm_increaseTime', [100_000]);
  await chain.anvil.provider.send('evm_mine', []);
  expect(await chain.chain.isFinal(history.job, 1)).toBe(true);
  expect(await chain.chain.isFinal(history.job, 3)).toBe(false);
  const finished = (await chain.chain.job(history.job))?.phase === 'finished';
  await forget();
  expect(await updates.rounds(history.job)).toEqual(finished ? [] : [3]);
  expect(await openArtifacts({ bucket: bucketName }).has(model)).toBe(true);
});

test('a round that never closed loses them when the job has ended on chain', async () => {
  await store(3);
  const known = await chain.chain.job(history.job);
  if (!known) throw new Error('no job');
  await forget({ job: async () => ({ ...known, phase: 'open' }) });
  expect(await updates.rounds(history.job)).toEqual([3]);
  await forget({ job: async () => ({ ...known, phase: 'finished' }) });
  expect(await updates.rounds(history.job)).toEqual([]);
});

test('it is over when the job has ended, nothing is left, and no URL can be used any more', async () => {
  expect(await forget()).toMatchObject({ over: false });
  row = exampleJob({ job: history.job, state: 'done', updatedAt: new Date().toISOString() });
  const { over, waitSeconds } = await forget();
  expect(over).toBe(false);
  expect(waitSeconds).toBeGreaterThan(800);
  row = exampleJob({
    job: history.job,
    state: 'done',
    updatedAt: new Date(Date.now() - 1_000_000).toISOString(),
  });
  expect(await forget()).toMatchObject({ over: true });
});
