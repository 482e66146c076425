/** Nobody but the coordinator and a job's auditors reads an update (PROTOCOL 9): everybody else tries. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { toHex, type Hex } from '#core/hex.js';
import { bucketName } from '#core/names.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { sha256Hex } from '#services/sha256.js';
import { openUpdate, sealUpdate, updateOverhead } from '#services/updateSealing.js';
import { generateX25519Key } from '#services/x25519.js';
import {
  member,
  runner,
  secondRunner,
  signedHeaders,
  stack,
  startApi,
  stranger,
  type TestApi,
} from '../functions/testApi.js';
import { exampleJob } from '../services/views.js';

const job = `0x${'0a'.repeat(32)}` as const;
const address = ({ address: text }: { address: string }) => text.toLowerCase() as Hex;
const keys = {
  coordinator: generateX25519Key(),
  auditor: generateX25519Key(),
  outsider: generateX25519Key(),
};
const auditor = address(member);
const readers = [
  { member: stack, publicKey: toHex(keys.coordinator.publicKey) },
  { member: auditor, publicKey: toHex(keys.auditor.publicKey) },
];
const ids = { job, round: 1, runner: address(runner) };
/** Values whose bytes would be found in anything that holds them in the clear. */
const delta = new Int32Array(randomBytes(4_000).buffer.slice(0, 4_000)).map((value) => value || 1);
const file = encodeUpdateFile({ ...ids, ring: 'i32', sections: { delta } });
const secret = Buffer.from(delta.buffer).subarray(0, 64);
const sealed = sealUpdate(file, readers, ids);
const request = { sha256: sha256Hex(sealed), size: sealed.length, update: { job, round: 1 } };

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await api.parts.table.createJob(exampleJob({ job, state: 'running', round: 0 }));
  const { body } = await api.post('/v1/uploads', request, { by: runner });
  const stored = await fetch(body.url, { method: 'PUT', headers: body.headers, body: Buffer.from(sealed) });
  expect(stored.status).toBe(200);
}, 60_000);
afterAll(() => api.stop());

const signedGet = async (path: string, by: typeof runner) =>
  api.get(path, await signedHeaders('GET', path, '', { by }));
const list = (by: typeof runner) => signedGet(`/v1/jobs/${job}/rounds/1/updates`, by);

describe('an update is read', () => {
  test('by the coordinator and by an auditor, each with its own key', () => {
    const members = { [stack]: keys.coordinator, [auditor]: keys.auditor };
    for (const [id, { privateKey }] of Object.entries(members))
      expect(openUpdate(sealed, { id, privateKey }, ids)).toEqual(Buffer.from(file));
    expect(sealed.length - file.length).toBe(updateOverhead(readers));
  });

  test('by nobody under another name, for another round, job or runner, or with another key', () => {
    const tries: [string, Uint8Array, typeof ids][] = [
      [stack, keys.outsider.privateKey, ids],
      [auditor, keys.coordinator.privateKey, ids],
      [address(stranger), keys.outsider.privateKey, ids],
      [stack, keys.coordinator.privateKey, { ...ids, round: 2 }],
      [stack, keys.coordinator.privateKey, { ...ids, job: `0x${'0b'.repeat(32)}` }],
      [stack, keys.coordinator.privateKey, { ...ids, runner: auditor }],
    ];
    for (const [id, privateKey, of] of tries)
      expect(() => openUpdate(sealed, { id, privateKey }, of)).toThrow(/cannot be (opened|trusted)/);
  });
});

describe('what others get of it', () => {
  test('the store holds ciphertext only, in every file of it', () => {
    const folder = join(api.folder, 's3', bucketName);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(3);
    for (const { parentPath, path, name } of files)
      expect(readFileSync(join(parentPath ?? path, name)).includes(secret)).toBe(false);
  });

  test('a runner cannot ask for a round’s updates, nor a stranger; a member gets ciphertext', async () => {
    expect((await list(runner)).body.code).toBe('FORBIDDEN');
    expect((await list(stranger)).body.code).toBe('FORBIDDEN');
    const { body } = await list(member);
    const [item] = body.items as unknown as { url: string; file: Hex; runner: Hex }[];
    expect(item).toMatchObject({ file: request.sha256, runner: ids.runner });
    const bytes = Buffer.from(await (await fetch(String(item?.url))).arrayBuffer());
    expect(bytes.equals(sealed)).toBe(true);
    expect(bytes.includes(secret)).toBe(false);
  });

  test('whoever knows its hash does not find it among the artifacts', async () => {
    for (const by of [runner, member])
      expect((await signedGet(`/v1/artifacts/${request.sha256}`, by)).body.code).toBe('NOT_FOUND');
  });

  test('a URL that serves one update serves no other, and not without its signature', async () => {
    const { body } = await list(member);
    const url = String((body.items as unknown as { url: string }[])[0]?.url);
    const other = url.replace(`/updates/${job.slice(2)}/1/`, `/updates/${job.slice(2)}/2/`);
    for (const tried of [other, url.split('?')[0] ?? ''])
      expect((await fetch(tried)).status).toBeGreaterThanOrEqual(400);
  });
});

describe('what others can do to it', () => {
  test('another runner cannot write under its name: its own upload goes beside it', async () => {
    const answer = await api.post('/v1/uploads', request, { by: secondRunner });
    expect(answer.body.url).toContain(`/updates/${job.slice(2)}/1/${address(secondRunner).slice(2)}/`);
  });

  test('a member cannot upload updates, nor a stranger; nor anybody for a job that is not here or is over', async () => {
    expect((await api.post('/v1/uploads', request, { by: member })).body.code).toBe('FORBIDDEN');
    expect((await api.post('/v1/uploads', request, { by: stranger })).body.code).toBe('FORBIDDEN');
    const elsewhere = { ...request, update: { job: `0x${'0c'.repeat(32)}`, round: 1 } };
    expect((await api.post('/v1/uploads', elsewhere, { by: runner })).body.code).toBe('NOT_FOUND');
    const over = `0x${'0d'.repeat(32)}` as const;
    await api.parts.table.createJob(exampleJob({ job: over, state: 'done', round: 1 }));
    const late = { ...request, update: { job: over, round: 1 } };
    expect((await api.post('/v1/uploads', late, { by: runner })).body.code).toBe('CONFLICT');
  });

  test.each([
    ['a round that climbs', { ...request, update: { job, round: '../../sha256' } }],
    ['a job that climbs', { ...request, update: { job: '../'.repeat(22), round: 1 } }],
    ['a hash that climbs', { ...request, sha256: `0x${'../'.repeat(21)}x` }],
    ['an upload’s name that climbs', { ...request, upload: '../../../etc/passwd' }],
    ['a runner’s name of its own choice', { ...request, runner: address(stranger) }],
    ['more bytes than there may be', { ...request, size: 6 * 1024 ** 3 }],
  ])('an upload with %s is refused', async (_, message) => {
    for (const path of ['/v1/uploads', '/v1/uploads/complete'])
      expect((await api.post(path, message, { by: runner })).body.code).toBe('INVALID_INPUT');
  });
});

test('a job whose updates its coordinator could not read is not taken', async () => {
  const [, other] = readers;
  const spec = { ...api.spec, updates: { recipients: [other] } };
  const { body } = await api.post('/v1/jobs', { key: 'unreadable-job', spec });
  expect([body.code, body.mistakes.map(({ path }) => path)]).toEqual(['JOB_INVALID', ['updates.recipients']]);
});

test('a key that agrees on zero with everybody is refused before anything is sealed for it', () => {
  const zero = { member: address(Wallet.createRandom()), publicKey: `0x${'00'.repeat(32)}` as const };
  expect(() => sealUpdate(file, [...readers, zero], ids)).toThrow(/unsafe/);
});
