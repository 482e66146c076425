import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { isRoundtableError } from '#core/errors.js';
import { ModelCache } from '#gpu-runner/modelCache.js';
import { outboundRules } from '#services/outboundUrl.js';
import { sha256Hex } from '#services/sha256.js';
import { temporaryFolder } from './folder.js';

const content = new Uint8Array(300_000).map((_, i) => (i * 7 + (i >> 8)) & 255);
const hash = sha256Hex(content);

let server: Server;
let url: string;
/** Bytes after which the next answers break off; what was asked for. */
let breaks: number[];
let served: Uint8Array;
let ranges: (string | undefined)[];
let supportsRanges: boolean;

beforeAll(async () => {
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    const from = supportsRanges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    if (from > 0 && from >= served.length) {
      response.writeHead(416).end();
      return;
    }
    const body = served.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': body.length,
      ...(from > 0 ? { 'content-range': `bytes ${from}-${served.length - 1}/${served.length}` } : {}),
    });
    const until = breaks.shift();
    if (until === undefined) response.end(body);
    else response.write(body.subarray(0, until), () => setTimeout(() => response.destroy(), 20));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  breaks = [];
  served = content;
  ranges = [];
  supportsRanges = true;
});

const never = new AbortController().signal;
const rules = outboundRules(['http://127.0.0.1']);
const stack = { rules, locate: () => Promise.resolve(url) };

describe('a model is fetched by its hash', () => {
  test('once; then it comes from the disk', async () => {
    const folder = await temporaryFolder();
    const first = await new ModelCache(folder, stack).get(hash, never);
    expect(sha256Hex(first.bytes)).toBe(hash);
    const second = await new ModelCache(folder, stack).get(hash, never);
    expect(second.path).toBe(first.path);
    expect(ranges).toHaveLength(1);
  });

  test('a transfer that breaks off goes on where it was', async () => {
    breaks = [100_000, 50_000];
    const { bytes } = await new ModelCache(await temporaryFolder(), stack).get(hash, never);
    expect(sha256Hex(bytes)).toBe(hash);
    // How much of a broken transfer arrives is the network's affair; what arrived is not fetched again.
    const [whole, ...offsets] = ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0));
    expect(whole).toBe(0);
    expect(offsets).toHaveLength(2);
    const [first = 0, second = 0] = offsets;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThanOrEqual(100_000);
    expect(second).toBeGreaterThan(first);
    expect(second).toBeLessThanOrEqual(first + 50_000);
  });

  test('what a killed runner had fetched is used', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, `${hash.slice(2)}.part`), content.subarray(0, 123_456));
    await new ModelCache(folder, stack).get(hash, never);
    expect(ranges).toEqual(['bytes=123456-']);
  });

  test('also when it was killed between the last byte and the rename', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, `${hash.slice(2)}.part`), content);
    const { bytes } = await new ModelCache(folder, stack).get(hash, never);
    expect(sha256Hex(bytes)).toBe(hash);
  });

  test('a store without ranges starts anew', async () => {
    supportsRanges = false;
    breaks = [100_000];
    const { bytes } = await new ModelCache(await temporaryFolder(), stack).get(hash, never);
    expect(sha256Hex(bytes)).toBe(hash);
  });

  test('a damaged part is thrown away and the whole fetched again', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, `${hash.slice(2)}.part`), new Uint8Array(100_000));
    const { bytes } = await new ModelCache(folder, stack).get(hash, never);
    expect(sha256Hex(bytes)).toBe(hash);
    expect(ranges).toEqual(['bytes=100000-', undefined]);
  });

  test('a file that was damaged on the disk is fetched again', async () => {
    const folder = await temporaryFolder();
    const { path } = await new ModelCache(folder, stack).get(hash, never);
    await writeFile(path, 'damaged');
    expect(sha256Hex((await new ModelCache(folder, stack).get(hash, never)).bytes)).toBe(hash);
    expect(sha256Hex(await readFile(path))).toBe(hash);
  });
});

describe('it fails with a code', () => {
  test('ARTIFACT_CORRUPT for other bytes, and keeps nothing of them', async () => {
    const folder = await temporaryFolder();
    served = content.map((byte, i) => (i === 5 ? byte ^ 1 : byte));
    await expect(new ModelCache(folder, stack).get(hash, never)).rejects.toMatchObject({
      code: 'ARTIFACT_CORRUPT',
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test('UNAVAILABLE when the store stays away', async () => {
    const gone = { rules, locate: () => Promise.resolve('http://127.0.0.1:9/') };
    const error: unknown = await new ModelCache(await temporaryFolder(), gone)
      .get(hash, never)
      .catch((e: unknown) => e);
    expect(isRoundtableError(error, 'UNAVAILABLE')).toBe(true);
    expect(String(error)).toMatch(/127\.0\.0\.1:9 does not answer/);
  });

  test('the reason of the signal when the task is cancelled in the middle', async () => {
    const control = new AbortController();
    breaks = Array.from({ length: 1_000 }, () => 1);
    const fetching = new ModelCache(await temporaryFolder(), stack).get(hash, control.signal);
    setTimeout(() => control.abort(new Error('cancelled')), 300);
    await expect(fetching).rejects.toThrow();
  });
});

test('beyond its cap the cache drops what was not used for longest', async () => {
  const folder = await temporaryFolder();
  const cache = new ModelCache(folder, stack, 700_000);
  const hashes: string[] = [];
  for (let i = 0; i < 3; i++) {
    served = content.map((byte) => byte ^ i);
    hashes.push(sha256Hex(served).slice(2));
    await cache.get(sha256Hex(served), never);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await cache.get(hash, never);
  await cache.trim();
  expect((await readdir(folder)).sort()).toEqual([hashes[0], hashes[2]].sort());
});
