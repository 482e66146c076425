import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AbortMultipartUploadCommand, S3Client } from '@aws-sdk/client-s3';
import { bucketName } from '#core/names.js';
import { sweepUploads } from '#local/emulators/s3/uploads.js';
import { ensureBucket, openBucket, type Bucket } from '#services/s3.js';
import { sha256Hex } from '#services/sha256.js';
import { startStores, type Stores } from '../services/realParts.js';

/** What local/emulators/s3/uploads.ts adds to s3rver, seen through the SDK as S3 shows it. */
let stores: Stores;
let bucket: Bucket;
beforeAll(async () => {
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  bucket = openBucket({ bucket: bucketName });
});
afterAll(() => stores.stop());

async function putPart(key: string, upload: string, number: number, data: Buffer): Promise<Response> {
  const part = { upload, number, sha256: sha256Hex(data), size: data.length };
  const { url, headers } = await bucket.presignPart(key, part);
  return fetch(url, { method: 'PUT', headers, body: data });
}

test('parts are listed with their hashes and joined; then the upload is gone', async () => {
  const upload = await bucket.beginUpload('joined');
  expect(await bucket.parts('joined', upload)).toEqual([]);
  const [first, second] = [randomBytes(1_000), randomBytes(500)];
  expect((await putPart('joined', upload, 2, second)).status).toBe(200);
  expect((await putPart('joined', upload, 1, first)).status).toBe(200);
  expect(await bucket.parts('joined', upload)).toEqual([
    { number: 1, size: 1_000, sha256: sha256Hex(first) },
    { number: 2, size: 500, sha256: sha256Hex(second) },
  ]);
  // Asked twice at once, they are joined once.
  const joined = await Promise.all([1, 2].map(() => bucket.completeUpload('joined', upload)));
  expect(joined).toContain(true);
  expect(Buffer.from(await bucket.read('joined'))).toEqual(Buffer.concat([first, second]));
  expect(await bucket.parts('joined', upload)).toBeNull();
  expect(await bucket.completeUpload('joined', upload)).toBe(false);
});

test('an upload that is given up is gone with its parts', async () => {
  const upload = await bucket.beginUpload('dropped');
  await putPart('dropped', upload, 1, randomBytes(10));
  const client = new S3Client({ forcePathStyle: true });
  const named = { Bucket: bucketName, Key: 'dropped', UploadId: upload };
  await client.send(new AbortMultipartUploadCommand(named));
  client.destroy();
  expect(await bucket.parts('dropped', upload)).toBeNull();
  expect((await putPart('dropped', upload, 2, randomBytes(10))).status).toBe(404);
});

test('nothing can be read or written without a signature', async () => {
  await bucket.write('closed', Buffer.from('x'), sha256Hex(Buffer.from('x')));
  const url = `http://127.0.0.1:${stores.ports.s3}/${bucketName}/closed`;
  for (const method of ['GET', 'PUT', 'DELETE']) expect((await fetch(url, { method })).status).toBe(403);
  expect(await bucket.size('closed')).toBe(1);
});

test('what is stored while the folder beside it is emptied stays', async () => {
  const bytes = Buffer.from('kept');
  const stored = Array.from({ length: 200 }, (_, i) => [`race/${i}/1/old`, `race/${i}/2/new`] as const);
  for (const [old, fresh] of stored) {
    await bucket.write(old, bytes, sha256Hex(bytes));
    await Promise.all([bucket.remove(old), bucket.write(fresh, bytes, sha256Hex(bytes))]);
  }
  const missing: string[] = [];
  for (const [, fresh] of stored) if ((await bucket.size(fresh)) === null) missing.push(fresh);
  expect(missing).toEqual([]);
});

test('uploads that nobody went on with for two days are swept, others stay', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-sweep-'));
  const uploads = join(folder, 'bucket', '._S3rver_uploads');
  for (const name of ['old', 'new']) mkdirSync(join(uploads, name), { recursive: true });
  mkdirSync(join(folder, 'bucket-without-uploads'));
  const longAgo = new Date(Date.now() - 3 * 86_400_000);
  utimesSync(join(uploads, 'old'), longAgo, longAgo);
  expect(await sweepUploads(folder)).toBe(1);
  expect(readdirSync(uploads)).toEqual(['new']);
  rmSync(folder, { recursive: true });
});
