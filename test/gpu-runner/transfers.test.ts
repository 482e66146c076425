import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Sha256Hex } from '#core/hex.js';
import { uploadPartBytes } from '#core/transferMessages.js';
import { Bandwidth } from '#gpu-runner/bandwidth.js';
import { download } from '#gpu-runner/download.js';
import { SignedWork } from '#gpu-runner/signedWork.js';
import { StackClient } from '#gpu-runner/stackClient.js';
import { upload, type Ask } from '#gpu-runner/upload.js';
import { runnerKey } from '#gpu-runner/runnerKey.js';
import { artifactKey } from '#services/artifacts.js';
import { openBucket } from '#services/s3.js';
import { outboundRules } from '#services/outboundUrl.js';
import { sha256Hex } from '#services/sha256.js';
import { breakingLink, type BreakingLink } from '../../bench/breakingLink.js';
import { coordinator, startApi, type TestApi } from './api.js';
import { temporaryFolder } from './folder.js';

const never = new AbortController().signal;
const MIB = 1024 ** 2;
const job = `0x${'0a'.repeat(32)}` as const;

let api: TestApi;
/** A stack whose store and API are reached over links that break. */
let far: TestApi;
let link: BreakingLink;
let apiLink: BreakingLink;
const rules = outboundRules(['http://127.0.0.1']);
const key = runnerKey(`0x${'77'.repeat(32)}`);

beforeAll(async () => {
  api = await startApi();
  far = await startApi({
    between: async (port) => {
      link = await breakingLink({ to: port, everyMs: 1_000, bytesPerSecond: 32 * MIB });
      return link.port;
    },
  });
  const port = Number(new URL(far.url).port);
  apiLink = await breakingLink({ to: port, everyMs: 700, bytesPerSecond: 32 * MIB });
  for (const { registered } of [api, far]) registered.add(key.address);
});
afterAll(async () => {
  await apiLink?.close();
  await link?.close();
});

const near = () => new StackClient({ api: api.url, coordinator, rules, found: false }, key);
const distant = () =>
  new StackClient({ api: `http://127.0.0.1:${apiLink.port}`, coordinator, rules, found: false }, key);
const asker =
  (stack: StackClient): Ask =>
  (...question) =>
    stack.ask(...question);

/** A stack whose store is away. */
const toNobody: Ask = (_path, _body, answer) =>
  Promise.resolve(answer.parse({ url: 'http://127.0.0.1:9/', headers: {}, upload: null }));

/** Bytes that no two places of are alike. */
function noise(bytes: number, seed: string): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += MIB)
    data.set(
      createHash('shake256', { outputLength: Math.min(MIB, bytes - at) })
        .update(`${seed} ${at}`)
        .digest(),
      at,
    );
  return data;
}

describe('over a link that breaks every second', () => {
  const size = 64 * MIB + 12_345;
  const data = noise(size, 'large');
  const file = sha256Hex(data);

  test('64 MiB arrive whole', async () => {
    const before = link.breaks();
    let last = 0;
    await upload(
      asker(distant()),
      data,
      { sha256: file, size, update: { job, round: 1 } },
      {
        rules,
        signal: never,
        onProgress: (sent) => {
          expect(sent).toBeGreaterThanOrEqual(0);
          last = sent;
        },
      },
    );
    expect(last).toBe(size);
    const stored = await far.updates.get({ job, round: 1, runner: key.address, file }, size);
    expect(sha256Hex(stored)).toBe(file);
    expect(link.breaks() - before).toBeGreaterThan(1);
  }, 60_000);

  test('and come back whole', async () => {
    await far.artifacts.put(data);
    const before = link.breaks();
    const part = join(await temporaryFolder(), 'part');
    const bytes = await download(file, part, (signal) => distant().locate(file, signal), {
      rules,
      signal: never,
    });
    expect(sha256Hex(bytes)).toBe(file);
    expect(link.breaks() - before).toBeGreaterThan(1);
  }, 60_000);
});

describe('an upload', () => {
  test('that was killed goes on with the parts that are missing', async () => {
    const size = 3 * uploadPartBytes + 5;
    const data = noise(size, 'killed');
    const request = { sha256: sha256Hex(data), size, update: { job, round: 2 } };
    const folder = await temporaryFolder();
    const memo = () => new SignedWork(folder).memo(job, 2, request.sha256);
    await new SignedWork(folder).open(job, 2);
    const dying = new AbortController();
    const first = upload(asker(near()), data, request, {
      rules,
      signal: dying.signal,
      memo: memo(),
      onProgress: (sent) => {
        if (sent >= 2 * uploadPartBytes) dying.abort(new Error('killed'));
      },
    });
    await expect(first).rejects.toThrow('killed');
    // What the next process asks for shows what it sends.
    const asked: number[] = [];
    const stack = near();
    const ask: Ask = (path, body, answer, signal) => {
      if (path === '/v1/uploads/parts')
        asked.push(...(body as { parts: { number: number }[] }).parts.map(({ number }) => number));
      return stack.ask(path, body, answer, signal);
    };
    await upload(ask, data, request, { rules, signal: never, memo: memo() });
    expect(new Set(asked)).toEqual(new Set([3, 4]));
    const stored = await api.updates.get({ job, round: 2, runner: key.address, file: request.sha256 }, size);
    expect(sha256Hex(stored)).toBe(request.sha256);
  }, 60_000);

  test('that the store has forgotten is begun anew', async () => {
    const size = uploadPartBytes + 5;
    const data = noise(size, 'forgotten');
    const request = { sha256: sha256Hex(data), size };
    const memo = { read: () => Promise.resolve('f'.repeat(32)), write: () => Promise.resolve() };
    await upload(asker(near()), data, request, { rules, signal: never, memo });
    expect(sha256Hex(await api.artifacts.get(request.sha256))).toBe(request.sha256);
  }, 60_000);

  test('of a round that is over is not taken', async () => {
    const over = `0x${'0b'.repeat(32)}` as const;
    api.ended.add(over);
    const data = noise(100, 'late');
    const request = { sha256: sha256Hex(data), size: 100, update: { job: over, round: 1 } };
    await expect(upload(asker(near()), data, request, { rules, signal: never })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  test('is given up with UNAVAILABLE when nothing arrives', async () => {
    const request = { sha256: `0x${'00'.repeat(32)}` as Sha256Hex, size: 3 };
    await expect(
      upload(toNobody, new Uint8Array(3), request, { rules, signal: never }),
    ).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  }, 30_000);
});

describe('a download', () => {
  test('of wrong bytes fails by name after one fresh start, and keeps nothing', async () => {
    const right = noise(100_000, 'right');
    const bucket = openBucket({ bucket: 'artifacts', client: api.s3 });
    await bucket.write(
      artifactKey(sha256Hex(right)),
      noise(100_000, 'wrong'),
      sha256Hex(noise(100_000, 'wrong')),
    );
    const part = join(await temporaryFolder(), 'part');
    const locate = (signal: AbortSignal) => near().locate(sha256Hex(right), signal);
    await expect(download(sha256Hex(right), part, locate, { rules, signal: never })).rejects.toMatchObject({
      code: 'ARTIFACT_CORRUPT',
    });
    expect(existsSync(part)).toBe(false);
  });
});

describe('an owner’s bandwidth', () => {
  test('is shared by all uploads, and holds', async () => {
    const bandwidth = new Bandwidth();
    bandwidth.limit({ up: 2 * MIB, down: null });
    const began = performance.now();
    await Promise.all(
      ['a', 'b'].map((name) => {
        const data = noise(2 * MIB, name);
        const request = { sha256: sha256Hex(data), size: data.length };
        return upload(asker(near()), data, request, { rules, signal: never, throttle: bandwidth.up });
      }),
    );
    expect(performance.now() - began).toBeGreaterThan(1_500);
  }, 60_000);

  test('holds for downloads too', async () => {
    const bandwidth = new Bandwidth();
    bandwidth.limit({ up: null, down: 2 * MIB });
    const data = noise(3 * MIB, 'down');
    const file = await api.artifacts.put(data);
    const part = join(await temporaryFolder(), 'part');
    const began = performance.now();
    const locate = (signal: AbortSignal) => near().locate(file, signal);
    await download(file, part, locate, { rules, signal: never, throttle: bandwidth.down });
    expect(performance.now() - began).toBeGreaterThan(1_000);
    expect(sha256Hex(await readFile(part))).toBe(file);
  }, 60_000);
});
