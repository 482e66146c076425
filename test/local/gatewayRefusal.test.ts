import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { dataTree, signTransaction, type TransactionHeader } from '#services/archiveTransaction.js';
import { archiveSigner, type ArchiveSigner } from '#services/archiveKey.js';
import { ArweaveClient } from './arweaveClient.js';
import { endGateways, startGateway, temporaryFolder, type GatewayProcess } from './gatewayProcess.js';

let gateway: GatewayProcess;
let client: ArweaveClient;
let signer: ArchiveSigner;

beforeAll(async () => {
  gateway = await startGateway(await temporaryFolder());
  client = await ArweaveClient.open(gateway.port);
  signer = archiveSigner(client.key);
});
afterAll(endGateways);

afterEach(async () => {
  // Whatever was thrown at it, it is alive and has taken nothing in.
  const info = await client.arweave.network.getInfo();
  expect(info.queue_length).toBe(0);
});

async function post(path: string, body: unknown): Promise<{ status: number; body: string }> {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, body: await response.text() };
}

async function status(path: string): Promise<number> {
  return (await fetch(gateway.url + path)).status;
}

/** A signed header with all that is right, except what the caller wants wrong before it is signed. */
async function signed(
  wrong: Partial<Parameters<typeof signTransaction>[1]> = {},
): Promise<TransactionHeader> {
  return signTransaction(signer, {
    dataRoot: (await dataTree(DATA)).dataRoot,
    size: DATA.length,
    tags: {},
    anchor: await client.arweave.transactions.getTransactionAnchor(),
    reward: await client.arweave.transactions.getPrice(DATA.length),
    ...wrong,
  });
}

function other(): string {
  return randomBytes(32).toString('base64url');
}

const DATA = randomBytes(5000);
const BODY = DATA.toString('base64url');
const FAILED = { status: 400, body: 'Transaction verification failed.' };
const INVALID = { status: 400, body: 'Invalid transaction.' };

describe('a transaction is refused', () => {
  test('when any signed field was altered', async () => {
    const header = await signed({ tags: { App: 'a' } });
    const alterations: Partial<TransactionHeader>[] = [
      { tags: [] },
      { tags: [...header.tags, ...header.tags] },
      { reward: String(BigInt(header.reward) + 1n) },
      { target: other(), quantity: '1', reward: '99999999999999' },
      { owner: randomBytes(512).toString('base64url') },
      { owner: Buffer.alloc(512).toString('base64url') },
      { last_tx: '' },
      { data_root: other() },
      { data_size: '4999' },
    ];
    for (const alteration of alterations)
      expect({ alteration, ...(await post('/tx', { ...header, ...alteration, data: '' })) }).toEqual({
        alteration,
        ...FAILED,
      });
  });

  test('when its signature or id is forged', async () => {
    const header = await signed();
    const signature = Buffer.from(header.signature, 'base64url');
    signature[100] = (signature[100] ?? 0) ^ 1;
    expect(await post('/tx', { ...header, signature: signature.toString('base64url') })).toEqual(FAILED);
    expect(await post('/tx', { ...header, id: other() })).toEqual(FAILED);
    // The id fits the signature, but nobody signed.
    const forged = randomBytes(512);
    const id = createHash('sha256').update(forged).digest('base64url');
    expect(await post('/tx', { ...header, id, signature: forged.toString('base64url') })).toEqual(FAILED);
  });

  test('when its data is other data', async () => {
    const split = { status: 400, body: 'The attached data is split in an unknown way.' };
    const header = await signed();
    expect(await post('/tx', { ...header, data: randomBytes(5000).toString('base64url') })).toEqual(split);
    expect(await post('/tx', { ...header, data: DATA.subarray(1).toString('base64url') })).toEqual(split);
    expect(await status(`/tx/${header.id}`)).toBe(404);
  });

  test('when its data root and its size do not go together', async () => {
    expect(await post('/tx', await signed({ dataRoot: '' }))).toEqual(FAILED);
    expect(await post('/tx', await signed({ size: 0 }))).toEqual(FAILED);
  });

  test('when it pays too little, or more than the wallet has', async () => {
    expect(await post('/tx', await signed({ reward: '1' }))).toEqual(FAILED);
    expect(await post('/tx', await signed({ reward: '9'.repeat(20) }))).toEqual(FAILED);
  });

  test('when its anchor is not of this network', async () => {
    const anchor = randomBytes(48).toString('base64url');
    expect(await post('/tx', await signed({ anchor }))).toEqual({
      status: 400,
      body: 'Invalid anchor (last_tx).',
    });
  });

  test('when its tags are larger than the network allows', async () => {
    expect(await post('/tx', await signed({ tags: { large: 'x'.repeat(2048) } }))).toEqual(FAILED);
    const many = Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`t${i}`, '']));
    expect(await post('/tx', await signed({ tags: many }))).toEqual(INVALID);
  });

  test('when its form is wrong', async () => {
    const header = await signed();
    const wrong = [
      { format: 1 },
      { format: '2' },
      { id: '../../etc/passwd' },
      { id: `${header.id}=` },
      { owner: header.owner.slice(1) },
      { signature: 'ä'.repeat(683) },
      { signature: null },
      { data_size: '-1' },
      { data_size: '1e3' },
      { data_size: '9'.repeat(20) },
      { data_size: 5000 },
      { data: 5 },
      { data: BODY + '=' },
      { tags: 'none' },
      { tags: [{ name: '***', value: '' }] },
      { quantity: '0x10' },
    ];
    for (const field of wrong)
      expect({ field, ...(await post('/tx', { ...header, ...field })) }).toEqual({ field, ...INVALID });
  });

  test('when it is another spelling of the same bytes', async () => {
    const header = await signed();
    // 512 bytes leave 4 spare bits in the last character.
    const last = header.signature.at(-1) ?? '';
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const signature = header.signature.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1];
    expect(Buffer.from(signature, 'base64url').equals(Buffer.from(header.signature, 'base64url'))).toBe(true);
    expect(await post('/tx', { ...header, signature })).toEqual(INVALID);
  });
});

describe('a chunk is refused', () => {
  const big = randomBytes(600_000);
  let chunks: Record<string, string>[];
  let pending: TransactionHeader;

  beforeAll(async () => {
    const tree = await dataTree(big);
    pending = await signed({
      dataRoot: tree.dataRoot,
      size: big.length,
      reward: await client.arweave.transactions.getPrice(big.length),
    });
    chunks = tree.chunks.map(({ start, end, path }) => ({
      data_root: tree.dataRoot,
      data_size: String(big.length),
      data_path: Buffer.from(path).toString('base64url'),
      offset: String(end - 1),
      chunk: big.subarray(start, end).toString('base64url'),
    }));
  });

  test('before its transaction came', async () => {
    expect(await post('/chunk', chunks[0])).toEqual({ status: 400, body: '{"error":"data_root_not_found"}' });
  });

  test('when its bytes, its proof or its place are not those of the data root; then the true ones complete it', async () => {
    expect(await post('/tx', pending)).toEqual({ status: 200, body: 'OK' });
    const [first, second] = chunks;
    if (!first?.['chunk'] || !first['data_path'] || !second) throw new Error('expected three chunks');
    const alteredBytes = Buffer.from(first['chunk'], 'base64url');
    alteredBytes[7] = (alteredBytes[7] ?? 0) ^ 1;
    const alteredPath = Buffer.from(first['data_path'], 'base64url');
    alteredPath[3] = (alteredPath[3] ?? 0) ^ 1;
    const proof = '{"error":"invalid_proof"}';
    const attempts: [Record<string, unknown>, string][] = [
      [{ chunk: alteredBytes.toString('base64url') }, proof],
      [{ chunk: alteredBytes.subarray(1).toString('base64url') }, proof],
      [{ chunk: second['chunk'] }, proof],
      [{ chunk: '' }, proof],
      [{ data_path: alteredPath.toString('base64url') }, proof],
      [{ data_path: second['data_path'] }, proof],
      [{ data_path: '' }, proof],
      [{ data_path: first['data_path'].slice(0, 80) }, proof],
      [{ offset: second['offset'] }, proof],
      [{ offset: '600000' }, '{"error":"offset_too_big"}'],
      [{ offset: '-1' }, '{"error":"invalid_json"}'],
      [{ data_size: '600001' }, '{"error":"data_root_not_found"}'],
      [{ data_size: '9'.repeat(30) }, '{"error":"data_size_too_big"}'],
      [{ data_root: '../../../../etc/passwd' }, '{"error":"invalid_json"}'],
      [{ chunk: randomBytes(262_145).toString('base64url') }, '{"error":"chunk_too_big"}'],
      [{ chunk: 'x', data_path: randomBytes(262_145).toString('base64url') }, '{"error":"invalid_json"}'],
      [{ chunk: '', data_path: randomBytes(262_145).toString('base64url') }, '{"error":"data_path_too_big"}'],
      [{ chunk: undefined }, '{"error":"invalid_json"}'],
    ];
    for (const [wrong, body] of attempts)
      expect({ wrong, ...(await post('/chunk', { ...first, ...wrong })) }).toEqual({
        wrong,
        status: 400,
        body,
      });
    expect(await status(`/tx/${pending.id}/status`)).toBe(202);

    for (const chunk of chunks) expect((await post('/chunk', chunk)).status).toBe(200);
    const back = Buffer.from(await (await fetch(`${gateway.url}/${pending.id}`)).arrayBuffer());
    expect(back.equals(big)).toBe(true);
  });
});

describe('hostile requests are refused', () => {
  test('bodies that are not JSON', async () => {
    const bodies = [
      '',
      '{',
      'null',
      '[]',
      '"x"',
      '['.repeat(100_000),
      randomBytes(1000),
      Buffer.from('{"a":"\xff"}', 'latin1'),
    ];
    for (const path of ['/tx', '/chunk', '/graphql'])
      for (const body of bodies) expect((await post(path, body)).status).toBe(400);
  });

  test('bodies that are too large, announced or not', async () => {
    const limits = { '/chunk': 750_000, '/graphql': 256 * 1024, '/tx': 15 * 1024 * 1024 };
    for (const [path, limit] of Object.entries(limits)) {
      expect(await announced(path, limit + 1)).toBe(413);
      expect(await unannounced(path, limit + 1)).toBe(413);
    }
  });

  test('ids that are paths, too long, or not base64url', async () => {
    const id = randomBytes(32).toString('base64url');
    expect(await status(`/${id}`)).toBe(404);
    expect(await status(`/tx/${id}`)).toBe(404);
    expect(await status(`/tx/${id}/status`)).toBe(404);
    for (const bad of [
      '..%2f..%2fetc%2fpasswd',
      'a'.repeat(5000),
      '%00',
      '%ff%fe',
      `${id}x`,
      'å',
      '__proto__',
      `${'A'.repeat(42)}B`,
    ]) {
      expect({ bad, status: await status(`/tx/${bad}`) }).toEqual({ bad, status: 400 });
      expect({ bad, status: await status(`/${bad}`) }).toEqual({ bad, status: 400 });
      expect({ bad, status: await status(`/wallet/${bad}/balance`) }).toEqual({ bad, status: 400 });
    }
    for (const path of [
      '/price/-1',
      '/price/x',
      `/price/${'9'.repeat(400)}`,
      '/chunk/-1',
      '/chunk/x',
      '/chunk/1e5',
      '/price/1/short',
    ])
      expect({ path, status: await status(path) }).toEqual({ path, status: 400 });
    expect(await status('/block/height/999999')).toBe(404);
    expect(await status('/block/hash/__proto__')).toBe(404);
  });

  test('bytes that are not HTTP', async () => {
    const socket = createConnection(gateway.port, '127.0.0.1');
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      socket.on('data', (part) => (text += part.toString('latin1')));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      socket.write('\x16\x03\x01 this is not HTTP\r\n\r\n');
    });
    expect(answer).toMatch(/^HTTP\/1.1 400/);
  });
});

/** The answer to a request whose body, said to be so long, never comes. */
async function announced(path: string, length: number): Promise<number | undefined> {
  const sent = request(gateway.url + path, { method: 'POST', headers: { 'content-length': length } });
  sent.flushHeaders();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  sent.destroy();
  return response.statusCode;
}

/** The answer to a body in HTTP chunks, whose length the gateway learns only as it comes. */
async function unannounced(path: string, length: number): Promise<number | undefined> {
  const sent = request(gateway.url + path, { method: 'POST', headers: { 'transfer-encoding': 'chunked' } });
  sent.on('error', () => undefined); // the gateway may hang up while we still send
  sent.end(Buffer.alloc(length, 'x'));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}
