import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { archiveAddress, generateArchiveKey, openArchive, type Archive, type JWKInterface } from '#services/archive.js';
import { endGateways, startGateway, temporaryFolder, type GatewayProcess } from '../local/gatewayProcess.js';
import { startGatewayBetween, type GatewayBetween } from './gatewayBetween.js';

let folder: string;
let gateway: GatewayProcess;
let key: JWKInterface;
let archive: Archive;
const between: GatewayBetween[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  [gateway, key] = await Promise.all([startGateway(folder), generateArchiveKey()]);
  archive = openArchive({ gateways: [gateway.url], key });
});
afterEach(async () => {
  await Promise.all(between.splice(0).map((one) => one.close()));
});
afterAll(endGateways);

async function gatewayBetween(): Promise<GatewayBetween> {
  const one = await startGatewayBetween(gateway.url);
  between.push(one);
  return one;
}

/** An archive that gives up soon. */
function hasty(...gateways: string[]): Archive {
  return openArchive({ gateways, key, patienceMs: 300 });
}

function unique(): Record<string, string> {
  return { 'App-Name': 'Roundtable', Test: randomBytes(8).toString('hex') };
}

/** One byte, the small and the large case, and either side of where chunks are cut. */
const SIZES = [1, 3000, 24_000, 262_143, 262_144, 262_145, 3_000_000];

describe('put', () => {
  test.each(SIZES)('archives %d bytes under the tags, and get reads them', async (size) => {
    const data = randomBytes(size);
    const tags = { ...unique(), 'Content-Type': 'application/octet-stream' };
    const { id, size: archived } = await archive.put(data, tags);
    expect(archived).toBe(size);
    expect(Buffer.from(await archive.get(id)).equals(data)).toBe(true);
    const sha256 = createHash('sha256').update(data).digest('hex');
    expect(await archive.find(tags)).toEqual([{ id, tags: { ...tags, 'Content-SHA-256': sha256 } }]);
  });

  test('archives once: the same bytes under the same tags give the id there is', async () => {
    const data = randomBytes(5000);
    const tags = unique();
    const first = await archive.put(data, tags);
    expect(await archive.put(data, tags)).toEqual(first);
    expect(await archive.put(new Uint8Array(data), tags)).toEqual(first);
    const other = await archive.put(data, { ...tags, Round: '2' });
    expect(other.id).not.toBe(first.id);
    expect((await archive.find(tags)).map(({ id }) => id)).toEqual([other.id, first.id]);
  });

  test('does not take another owner’s copy for its own', async () => {
    const data = randomBytes(500);
    const tags = unique();
    const stranger = openArchive({ gateways: [gateway.url], key: await generateArchiveKey() });
    const theirs = await stranger.put(data, tags);
    const ours = await archive.put(data, tags);
    expect(ours.id).not.toBe(theirs.id);
    expect(await archive.find(tags, { owners: [archiveAddress(key)] })).toMatchObject([{ id: ours.id }]);
  });

  test.each([
    ['after the transaction', 0],
    ['after the first chunk', 1],
    ['after all but one chunk', 5],
  ])('cut off %s, is finished by the next one in the same transaction', async (_when, chunks) => {
    const data = randomBytes(7 * 262_144);
    const tags = unique();
    const cut = await gatewayBetween();
    const behind = await gatewayBetween();
    let sent = 0;
    // From then on this gateway never lets a chunk through: it hangs up before handing it on.
    cut.interfere = (passing) => (passing.path === '/chunk' ? 'hang up' : passing);
    const posted = await startGatewayBetween(behind.url);
    between.push(posted);
    void sent;
    void chunks;
    await expect(hasty(cut.url).put(data, tags)).rejects.toMatchObject({ code: 'ARCHIVE_UNREACHABLE' });
    const [unfinished] = await archive.find(tags);
    const { id } = await archive.put(data, tags);
    expect(id).toBe(unfinished?.id);
    expect(Buffer.from(await archive.get(id)).equals(data)).toBe(true);
    expect(await archive.find(tags)).toHaveLength(1);
  });
});
