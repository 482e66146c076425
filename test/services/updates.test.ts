import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bucketName } from '#core/names.js';
import { ensureBucket, openArtifacts } from '#services/artifacts.js';
import { sha256Hex } from '#services/sha256.js';
import { openBucket } from '#services/s3.js';
import { openUpdates, updateKey, type UpdateName, type Updates } from '#services/updates.js';
import { startStores, type Stores } from './realParts.js';

const job = `0x${'0a'.repeat(32)}` as const;
const runner = `0x${'11'.repeat(20)}` as const;
const other = `0x${'22'.repeat(20)}` as const;

let stores: Stores;
let updates: Updates;
beforeAll(async () => {
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  updates = openUpdates({ bucket: bucketName });
});
afterAll(() => stores.stop());

async function store(name: Omit<UpdateName, 'file'>, data = randomBytes(100)): Promise<UpdateName> {
  const named = { ...name, file: sha256Hex(data) };
  await openBucket({ bucket: bucketName }).write(updateKey(named), data, named.file);
  return named;
}

test('an update is found under its job, round and runner, and listed for its auditors', async () => {
  const data = randomBytes(64);
  const name = await store({ job, round: 1, runner }, data);
  await store({ job, round: 1, runner: other });
  expect(Buffer.from(await updates.get(name, 100))).toEqual(data);
  await expect(updates.get({ ...name, runner: other }, 100)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(updates.get(name, 63)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  const listed = await updates.list(job, 1);
  expect(listed.map(({ runner: by, size }) => [by, size])).toEqual([
    [runner, 64],
    [other, 100],
  ]);
  expect(Buffer.from(await (await fetch(String(listed[0]?.url))).arrayBuffer())).toEqual(data);
});

test('other bytes than the name says are thrown away, so that the right ones can come', async () => {
  const right = randomBytes(50);
  const name = { job, round: 2, runner, file: sha256Hex(right) };
  const bucket = openBucket({ bucket: bucketName });
  const wrong = randomBytes(50);
  await bucket.write(updateKey(name), wrong, sha256Hex(wrong));
  await expect(updates.get(name, 100)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  await bucket.write(updateKey(name), right, name.file);
  expect(Buffer.from(await updates.get(name, 100))).toEqual(right);
});

test('forgetting a round deletes its updates and nothing else, whatever bytes they share', async () => {
  const mine = `0x${'0c'.repeat(32)}` as const;
  const shared = randomBytes(80);
  const artifacts = openArtifacts({ bucket: bucketName });
  const model = await artifacts.put(shared);
  const first = await store({ job: mine, round: 1, runner }, shared);
  const tenth = await store({ job: mine, round: 10, runner }, shared);
  const foreign = await store({ job, round: 1, runner }, shared);
  expect(await updates.rounds(mine)).toEqual([1, 10]);
  expect(await updates.forget(mine, 1)).toBe(1);
  expect(await updates.forget(mine, 1)).toBe(0);
  await expect(updates.get(first, 100)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await updates.rounds(mine)).toEqual([10]);
  for (const kept of [tenth, foreign]) expect(await updates.get(kept, 100)).toHaveLength(80);
  expect(await artifacts.get(model)).toHaveLength(80);
});
