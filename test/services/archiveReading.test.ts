import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { openArchive, type Archive } from '#services/archive.js';
import { endGateways } from '../local/gatewayProcess.js';
import { ArchiveParts, unique } from './archiveParts.js';
import { EMPTY_PAGE, endGatewaysBetween, lies } from './gatewayBetween.js';

let parts: ArchiveParts;
let archive: Archive;

beforeAll(async () => {
  parts = await ArchiveParts.start();
  ({ archive } = parts);
});
afterEach(endGatewaysBetween);
afterAll(endGateways);

async function headerOf(id: string): Promise<{ data_root: string }> {
  return (await (await fetch(`${parts.gateway.url}/tx/${id}`)).json()) as { data_root: string };
}

describe('get', () => {
  test('does not believe a gateway that gives other bytes, and takes them from the next', async () => {
    const data = randomBytes(600_000);
    const { id } = await archive.put(data, unique());
    const liar = await parts.gatewayBetween();
    for (const lie of lies) {
      liar.interfere = lie;
      expect((await parts.read(id, parts.hasty(liar, parts.gateway))).equals(data)).toBe(true);
      await expect(parts.hasty(liar).get(id)).rejects.toMatchObject({
        code: 'ARCHIVE_CORRUPT',
        details: { id },
      });
    }
  });

  test('does not believe a gateway that gives another transaction with its own data', async () => {
    const [mine, other] = await Promise.all([
      archive.put(randomBytes(3000), unique()),
      archive.put(randomBytes(3000), unique()),
    ]);
    const swapped = await parts.gatewayBetween();
    swapped.interfere = async (path) => {
      const answer = await fetch(parts.gateway.url + path.replace(mine.id, other.id));
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
    };
    await expect(parts.hasty(swapped).get(mine.id)).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    const otherHeader = await headerOf(other.id);
    // Also when it puts the right id on it, or another data root under the right signature.
    const forgeries = [
      { ...otherHeader, id: mine.id },
      { ...(await headerOf(mine.id)), data_root: otherHeader.data_root },
    ];
    for (const forged of forgeries) {
      swapped.interfere = async (path, forward) =>
        path.startsWith('/tx/') ? { status: 200, body: Buffer.from(JSON.stringify(forged)) } : forward();
      await expect(parts.hasty(swapped).get(mine.id)).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    }
  });

  test('asks again after a 404, at the same gateway and at others', async () => {
    const data = randomBytes(3000);
    const { id } = await archive.put(data, unique());
    const lagging = await parts.gatewayBetween();
    const asked: Record<string, number> = {};
    lagging.interfere = async (path, forward) => {
      asked[path] = (asked[path] ?? 0) + 1;
      return asked[path] <= 2 ? { status: 404, body: Buffer.from('Not Found.') } : forward();
    };
    expect((await parts.read(id, openArchive({ gateways: [lagging.url] }))).equals(data)).toBe(true);
    expect(asked).toEqual({ [`/tx/${id}`]: 3, [`/${id}`]: 3 });
    const empty = await parts.gatewayBetween();
    empty.interfere = async () => ({ status: 404, body: Buffer.from('Not Found.') });
    expect((await parts.read(id, parts.hasty(empty, parts.gateway))).equals(data)).toBe(true);
    await expect(parts.hasty(empty).get(id)).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
  });

  test('stops reading a gateway that sends without end', async () => {
    const data = randomBytes(3000);
    const { id } = await archive.put(data, unique());
    const endless = await parts.gatewayBetween();
    endless.interfere = async (path, forward) =>
      path === `/${id}` ? { status: 200, body: Buffer.concat([data, Buffer.alloc(50_000_000)]) } : forward();
    expect((await parts.read(id, parts.hasty(endless, parts.gateway))).equals(data)).toBe(true);
  });

  test('says that no gateway answers', async () => {
    const id = randomBytes(32).toString('base64url');
    await expect(parts.hasty(await parts.nobody()).get(id)).rejects.toMatchObject({
      code: 'ARCHIVE_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await expect(archive.get('../../etc/passwd')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});

describe('find', () => {
  test('pages through more than one page, newest first, up to the limit', async () => {
    const tags = unique();
    const ids: string[] = [];
    for (let i = 0; i < 105; i++) ids.unshift((await archive.put(Buffer.from(`entry ${i}`), tags)).id);
    const all = await archive.find(tags, { limit: 1000 });
    expect(all.map(({ id }) => id)).toEqual(ids);
    expect((await archive.find(tags, { limit: 3 })).map(({ id }) => id)).toEqual(ids.slice(0, 3));
    expect((await archive.find(tags)).length).toBe(100);
  }, 60_000);

  test('gives nothing for tags that nothing has, and refuses a limit below 1', async () => {
    expect(await archive.find(unique())).toEqual([]);
    await expect(archive.find({}, { limit: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('does not take nonsense from a gateway', async () => {
    const nonsense = await parts.gatewayBetween();
    for (const body of [
      '',
      '{}',
      '{"data":{"transactions":{"edges":[{}]}}}',
      EMPTY_PAGE.replace('[]', '[{"cursor":"","node":{"id":"../x","tags":[]}}]'),
    ]) {
      nonsense.interfere = async () => ({ status: 200, body: Buffer.from(body) });
      await expect(parts.hasty(nonsense).find({})).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
    }
  });
});
