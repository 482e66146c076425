import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bucketName } from '#core/names.js';
import { openArtifacts, ensureBucket, type Artifacts } from '#services/artifacts.js';
import { sha256Hex } from '#services/sha256.js';
import { startStores, type Stores } from './realParts.js';

let stores: Stores;
let artifacts: Artifacts;

beforeAll(async () => {
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  artifacts = openArtifacts({ bucket: bucketName });
});
afterAll(() => stores.stop());

const fresh = () => {
  const data = randomBytes(1_000);
  return { data, sha256: sha256Hex(data), size: data.length };
};

test('a bucket that exists is left alone', async () => {
  const sha256 = await artifacts.put(Buffer.from('kept'));
  await ensureBucket({ bucket: bucketName });
  expect(await artifacts.has(sha256)).toBe(true);
});

test('bytes come back under their hash; storing them again changes nothing', async () => {
  const { data, sha256 } = fresh();
  expect(await artifacts.has(sha256)).toBe(false);
  expect(await artifacts.put(data)).toBe(sha256);
  expect(await artifacts.put(data)).toBe(sha256);
  expect(await artifacts.has(sha256)).toBe(true);
  expect(Buffer.from(await artifacts.get(sha256))).toEqual(data);
});

test('nothing at all is an artifact too', async () => {
  const sha256 = await artifacts.put(new Uint8Array());
  expect(await artifacts.get(sha256)).toHaveLength(0);
});

test('an unknown hash is NOT_FOUND', async () => {
  await expect(artifacts.get(fresh().sha256)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('stored bytes that do not have their hash are refused', async () => {
  const { data, sha256 } = fresh();
  await artifacts.put(data);
  const folder = join(stores.folder, 's3', bucketName, 'sha256');
  const file = readdirSync(folder).find(
    (name) => name.startsWith(sha256.slice(2)) && name.includes('object'),
  );
  writeFileSync(join(folder, String(file)), 'other bytes');
  await expect(artifacts.get(sha256)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
});

describe('a presigned upload', () => {
  test('stores exactly the bytes it was made for', async () => {
    const { data, sha256, size } = fresh();
    const { url, headers } = await artifacts.presignPut({ sha256, size });
    const answer = await fetch(String(url), { method: 'PUT', headers, body: data });
    expect(answer.status).toBe(200);
    expect(Buffer.from(await artifacts.get(sha256))).toEqual(data);
    expect(await artifacts.presignPut({ sha256, size })).toEqual({ url: null, headers: {} });
  });

  test('signs length and checksum as headers', async () => {
    const { url, headers } = await artifacts.presignPut(fresh());
    const query = new URL(String(url)).searchParams;
    expect(query.get('X-Amz-SignedHeaders')).toBe('content-length;host;x-amz-checksum-sha256');
    expect([...query.keys()].filter((name) => /checksum|sdk/i.test(name))).toEqual([]);
    expect(Object.keys(headers).sort()).toEqual(['content-length', 'x-amz-checksum-sha256']);
  });

  test.each([
    [
      'another length',
      (url: string, headers: Record<string, string>) => ({ url, headers, body: randomBytes(1_001) }),
    ],
    [
      'another checksum',
      (url: string, headers: Record<string, string>) => ({
        url,
        headers: { ...headers, 'x-amz-checksum-sha256': randomBytes(32).toString('base64') },
        body: randomBytes(1_000),
      }),
    ],
    [
      'no checksum',
      (url: string, headers: Record<string, string>) => ({
        url,
        headers: { 'content-length': String(headers['content-length']) },
        body: randomBytes(1_000),
      }),
    ],
    [
      'another key',
      (url: string, headers: Record<string, string>) => ({
        url: url.replace(/sha256\/.{64}/, `sha256/${randomBytes(32).toString('hex')}`),
        headers,
        body: randomBytes(1_000),
      }),
    ],
    [
      'another signature',
      (url: string, headers: Record<string, string>) => ({
        url: url.replace(/X-Amz-Signature=../, 'X-Amz-Signature=00'),
        headers,
        body: randomBytes(1_000),
      }),
    ],
    [
      'a later expiry',
      (url: string, headers: Record<string, string>) => ({
        url: url.replace('X-Amz-Expires=900', 'X-Amz-Expires=9000'),
        headers,
        body: randomBytes(1_000),
      }),
    ],
  ])('is refused with %s', async (_, tamper) => {
    const { sha256, size } = fresh();
    const { url, headers } = await artifacts.presignPut({ sha256, size });
    const changed = tamper(String(url), headers);
    const sent: Record<string, string> = { ...changed.headers };
    delete sent['content-length'];
    const answer = await fetch(changed.url, { method: 'PUT', headers: sent, body: changed.body });
    expect(answer.status).toBe(403);
    expect(await artifacts.has(sha256)).toBe(false);
  });
});

test('a presigned download serves the bytes, a tampered one does not', async () => {
  const { data, sha256 } = fresh();
  await artifacts.put(data);
  const url = await artifacts.presignGet(sha256);
  expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(data);
  const other = await artifacts.put(randomBytes(10));
  expect((await fetch(url.replace(sha256.slice(2), other.slice(2)))).status).toBe(403);
});

test('an outage is UNAVAILABLE', async () => {
  process.env['AWS_ENDPOINT_URL_S3'] = `http://127.0.0.1:${stores.ports.api}`;
  const unreachable = openArtifacts({ bucket: bucketName });
  await expect(unreachable.has(fresh().sha256)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
