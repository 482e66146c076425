import { randomBytes } from 'node:crypto';
import { readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateArchiveKey, type JWKInterface } from '#services/archiveKey.js';
import { ArweaveClient } from './arweaveClient.js';
import { endGateways, startGateway, temporaryFolder } from './gatewayProcess.js';

let key: JWKInterface;

beforeAll(async () => {
  key = await generateArchiveKey();
});
afterAll(endGateways);

test('kill -9 loses nothing: transactions, chunks, blocks, balances and an unfinished upload are there again', async () => {
  const folder = await temporaryFolder();
  let gateway = await startGateway(folder);
  const client = await ArweaveClient.open(gateway.port, key);
  const { arweave } = client;
  const data = randomBytes(600_000);
  const small = await client.post('small', { Kind: 'small' });
  const large = await client.post(data);
  const halfData = randomBytes(900_000);
  const half = await client.sign(halfData);
  const uploader = await arweave.transactions.getUploader(half);
  for (let i = 0; i < 3; i++) await uploader.uploadChunk();
  const seen = async () => ({
    info: await arweave.network.getInfo(),
    balance: await arweave.wallets.getBalance(await arweave.wallets.jwkToAddress(client.key)),
    small: await arweave.transactions.getStatus(small.id),
    large: await arweave.transactions.getStatus(large.id),
    half: await arweave.transactions.getStatus(half.id),
    list: await client.graphql('{ transactions(first: 100) { edges { cursor node { id block { id } } } } }'),
  });
  const before = await seen();
  expect(before.half.status).toBe(202);

  await gateway.kill();
  gateway = await startGateway(folder, gateway.port);

  expect(await seen()).toEqual(before);
  expect(await arweave.transactions.getData(small.id, { decode: true, string: true })).toBe('small');
  const back = await arweave.transactions.getData(large.id, { decode: true });
  expect(Buffer.from(back as Uint8Array).equals(data)).toBe(true);

  while (!uploader.isComplete) await uploader.uploadChunk();
  expect((await arweave.transactions.getStatus(half.id)).status).toBe(200);
  const finished = await arweave.transactions.getData(half.id, { decode: true });
  expect(Buffer.from(finished as Uint8Array).equals(halfData)).toBe(true);
});

test('killed at many points of an upload, it never has half a file, and the upload can be finished', async () => {
  const folder = await temporaryFolder();
  let gateway = await startGateway(folder);
  const client = await ArweaveClient.open(gateway.port, key);
  const data = randomBytes(3_000_000);
  const transaction = await client.sign(data);
  await client.arweave.api.post('tx', { ...transaction.toJSON(), data: '' });
  const chunks = transaction.chunks?.chunks.length ?? 0;
  for (let round = 0; round < 4; round++) {
    const posts = Array.from({ length: chunks }, (_, i) =>
      client.arweave.api.post('chunk', transaction.getChunk(i, data)).then(
        ({ status }) => status,
        () => 0,
      ),
    );
    // As soon as one chunk more is taken in, while the others are on their way.
    await Promise.race(posts.slice(round));
    await gateway.kill();
    await Promise.all(posts);
    gateway = await startGateway(folder, gateway.port);
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
  }
  for (let i = 0; i < chunks; i++)
    expect((await client.arweave.api.post('chunk', transaction.getChunk(i, data))).status).toBe(200);
  expect((await client.arweave.transactions.getStatus(transaction.id)).status).toBe(200);
  const back = Buffer.from(await (await fetch(`${gateway.url}/${transaction.id}`)).arrayBuffer());
  expect(back.equals(data)).toBe(true);
});

test('a transaction whose block was not written before the kill gets it at the next start', async () => {
  const folder = await temporaryFolder();
  const first = await startGateway(folder);
  const client = await ArweaveClient.open(first.port, key);
  const { id } = await client.post('content');
  await first.kill();
  await unlink(join(folder, 'blocks', '1.json'));
  await startGateway(folder, first.port);
  expect((await client.arweave.transactions.getStatus(id)).status).toBe(200);
  expect((await client.arweave.network.getInfo()).height).toBe(1);
});

test('a damaged folder or a wrong environment ends it with a message that says what to do', async () => {
  const folder = await temporaryFolder();
  const gateway = await startGateway(folder);
  await gateway.kill();
  await writeFile(join(folder, 'blocks', '0.json'), '{"height":');
  expect(await failure({ GATEWAY_DATA: folder, GATEWAY_PORT: '0' })).toMatch(
    /blocks\/0\.json is damaged.*start anew/,
  );
  expect(await failure({ GATEWAY_PORT: '0' })).toMatch(/GATEWAY_DATA/);
  const other = await startGateway(await temporaryFolder());
  expect(await failure({ GATEWAY_DATA: await temporaryFolder(), GATEWAY_PORT: String(other.port) })).toMatch(
    /EADDRINUSE/,
  );
});

async function failure(env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, ['dist/local/gateway.js'], {
    env: { PATH: process.env['PATH'], ...env },
  });
  let output = '';
  child.stdout.on('data', (part: Buffer) => (output += part.toString()));
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(1);
  return (JSON.parse(output.trim().split('\n').at(-1) ?? '') as { reason: string }).reason;
}
