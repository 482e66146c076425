import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Hex } from '#core/hex.js';
import { uploadPartBytes } from '#core/transferMessages.js';
import { bucketName } from '#core/names.js';
import { openArtifacts, ensureBucket, type Artifacts } from '#services/artifacts.js';
import { sha256Hex } from '#services/sha256.js';
import { openUploads, partSize, type Uploads } from '#services/uploads.js';
import { startStores, type Stores } from './realParts.js';

let stores: Stores;
let artifacts: Artifacts;
let uploads: Uploads;
const uploader = `0x${'a1'.repeat(20)}` as const;
const hostile = `0x${'b2'.repeat(20)}` as const;

beforeAll(async () => {
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  artifacts = openArtifacts({ bucket: bucketName });
  uploads = openUploads({ bucket: bucketName });
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
    const { url, headers } = await uploads.begin(uploader, { sha256, size });
    const answer = await fetch(String(url), { method: 'PUT', headers, body: data });
    expect(answer.status).toBe(200);
    expect(Buffer.from(await artifacts.get(sha256))).toEqual(data);
    expect(await uploads.begin(uploader, { sha256, size })).toEqual({
      url: null,
      headers: {},
      upload: null,
    });
  });

  test('signs length and checksum as headers', async () => {
    const { url, headers } = await uploads.begin(uploader, { sha256: fresh().sha256, size: 1_000 });
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
      'other bytes of the same length',
      (url: string, headers: Record<string, string>) => ({ url, headers, body: randomBytes(1_000) }),
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
    const { url, headers } = await uploads.begin(uploader, { sha256, size });
    const changed = tamper(String(url), headers);
    const sent: Record<string, string> = { ...changed.headers };
    delete sent['content-length'];
    const answer = await fetch(changed.url, { method: 'PUT', headers: sent, body: changed.body });
    expect([400, 403]).toContain(answer.status);
    expect(await artifacts.has(sha256)).toBe(false);
  });

  test('made before the bytes were stored cannot replace them by others', async () => {
    const { data, sha256, size } = fresh();
    const { url, headers } = await uploads.begin(uploader, { sha256, size });
    await artifacts.put(data);
    const sent = { 'x-amz-checksum-sha256': String(headers['x-amz-checksum-sha256']) };
    const answer = await fetch(String(url), { method: 'PUT', headers: sent, body: randomBytes(1_000) });
    expect(answer.ok).toBe(false);
    expect(Buffer.from(await artifacts.get(sha256))).toEqual(data);
  });
});

describe('an upload in parts', () => {
  const size = 2 * uploadPartBytes + 77;
  const large = () => {
    const data = randomBytes(size);
    return { data, sha256: sha256Hex(data), size };
  };

  test('is joined and read under the hash of the whole, and then known for good', async () => {
    const { data, ...request } = large();
    const id = await send(uploader, request, data);
    await uploads.complete(uploader, { ...request, upload: id });
    await uploads.complete(uploader, { ...request, upload: id });
    expect(await artifacts.has(request.sha256)).toBe(true);
    // Nobody reads what has not been compared with its hash.
    expect(await artifacts.presignGet(request.sha256)).toBeNull();
    expect(data.equals(await artifacts.get(request.sha256))).toBe(true);
    expect(await artifacts.presignGet(request.sha256)).not.toBeNull();
    expect((await uploads.begin(hostile, request)).upload).toBeNull();
  });

  test('is found again with the parts that have arrived, and joined only when all have', async () => {
    const { data, ...request } = large();
    const id = await send(uploader, request, data, [1, 3]);
    const found = await uploads.begin(uploader, { ...request, upload: id });
    expect(found.upload).toEqual({
      id,
      parts: [1, 3].map((number) => ({
        number,
        sha256: sha256Hex(data.subarray((number - 1) * uploadPartBytes, number * uploadPartBytes)),
      })),
    });
    await expect(uploads.complete(uploader, { ...request, upload: id })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await artifacts.has(request.sha256)).toBe(false);
  });

  test('takes no part beyond its end, and of each only the bytes that were announced', async () => {
    const { data, ...request } = large();
    const { upload } = await uploads.begin(uploader, request);
    const id = String(upload?.id);
    expect(partSize(size, 3)).toBe(77);
    const part = { number: 4, sha256: request.sha256 };
    await expect(uploads.parts(uploader, { ...request, upload: id, parts: [part] })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    const last = { number: 3, sha256: sha256Hex(data.subarray(2 * uploadPartBytes)) };
    const signed = await uploads.parts(uploader, { ...request, upload: id, parts: [last] });
    const [target] = signed.parts;
    if (!target) throw new Error('no URL');
    for (const body of [randomBytes(77), randomBytes(78)]) {
      const { 'content-length': _length, ...headers } = target.headers;
      expect((await fetch(target.url, { method: 'PUT', headers, body })).ok).toBe(false);
    }
    expect((await uploads.begin(uploader, { ...request, upload: id })).upload?.parts).toEqual([]);
  });

  test('of wrong bytes under a hash is thrown away, and stands in nobody’s way', async () => {
    const { data, ...request } = large();
    const wrong = randomBytes(size);
    const id = await send(hostile, request, wrong);
    await uploads.complete(hostile, { ...request, upload: id });
    const honest = await send(uploader, request, data);
    await uploads.complete(uploader, { ...request, upload: honest });
    expect(data.equals(await artifacts.get(request.sha256))).toBe(true);
  });

  test('of wrong bytes alone is ARTIFACT_CORRUPT once; then the same uploader can send the right ones', async () => {
    const { data, ...request } = large();
    const id = await send(hostile, request, randomBytes(size));
    await uploads.complete(hostile, { ...request, upload: id });
    await expect(artifacts.get(request.sha256)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    await expect(artifacts.get(request.sha256)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const again = await send(hostile, request, data);
    await uploads.complete(hostile, { ...request, upload: again });
    expect(data.equals(await artifacts.get(request.sha256))).toBe(true);
  });

  test('belongs to its uploader: another one’s request for it begins its own', async () => {
    const { data, ...request } = large();
    const id = await send(uploader, request, data);
    await expect(uploads.complete(hostile, { ...request, upload: 'f'.repeat(32) })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await uploads.complete(uploader, { ...request, upload: id });
    expect((await uploads.begin(hostile, request)).upload).not.toBeNull();
  });
});

test('a presigned download serves the bytes, a tampered one does not', async () => {
  const { data, sha256 } = fresh();
  await artifacts.put(data);
  const url = String(await artifacts.presignGet(sha256));
  expect(Buffer.from(await (await fetch(url)).arrayBuffer())).toEqual(data);
  const other = await artifacts.put(randomBytes(10));
  expect((await fetch(url.replace(sha256.slice(2), other.slice(2)))).status).toBe(403);
});

test('an outage is UNAVAILABLE', async () => {
  process.env['AWS_ENDPOINT_URL_S3'] = `http://127.0.0.1:${stores.ports.api}`;
  const unreachable = openArtifacts({ bucket: bucketName });
  await expect(unreachable.has(fresh().sha256)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

/** Sends parts of `data` under what the request claims. */
async function send(by: Hex, request: { sha256: Hex; size: number }, data: Buffer, numbers = [1, 2, 3]) {
  const { upload } = await uploads.begin(by, request);
  const id = String(upload?.id);
  const parts = numbers.map((number) => {
    const bytes = data.subarray((number - 1) * uploadPartBytes, number * uploadPartBytes);
    return { number, sha256: sha256Hex(bytes), bytes };
  });
  const signed = await uploads.parts(by, {
    ...request,
    upload: id,
    parts: parts.map(({ number, sha256 }) => ({ number, sha256 })),
  });
  for (const { number, url, headers } of signed.parts) {
    const body = parts.find((part) => part.number === number)?.bytes ?? Buffer.alloc(0);
    const answer = await fetch(url, { method: 'PUT', headers, body });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  }
  return id;
}
