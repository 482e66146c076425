import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type Arweave from 'arweave';
import { validatePath } from 'arweave/node/lib/merkle.js';
import { archiveAddress } from '#services/archiveKey.js';
import { ArweaveClient } from './arweaveClient.js';
import { endGateways, startGateway, temporaryFolder, type GatewayProcess } from './gatewayProcess.js';

// arweave-js as it is published, against the gateway as it is built.
let gateway: GatewayProcess;
let client: ArweaveClient;
let arweave: Arweave;

beforeAll(async () => {
  gateway = await startGateway(await temporaryFolder());
  client = await ArweaveClient.open(gateway.port);
  arweave = client.arweave;
});
afterAll(endGateways);

describe('a transaction whose data fits into its body', () => {
  test('is posted, confirmed, and read back by arweave-js', async () => {
    const transaction = await client.sign('a manifest', { 'Content-Type': 'text/plain' });
    expect((await arweave.transactions.post(transaction)).status).toBe(200);

    const { status, confirmed } = await arweave.transactions.getStatus(transaction.id);
    const info = await arweave.network.getInfo();
    expect(status).toBe(200);
    expect(confirmed).toEqual({
      block_height: info.height,
      block_indep_hash: info.current,
      number_of_confirmations: 1,
    });
    expect(await arweave.transactions.getData(transaction.id, { decode: true, string: true })).toBe(
      'a manifest',
    );

    const header = await arweave.transactions.get(transaction.id);
    expect(await arweave.transactions.verify(header)).toBe(true);
    expect(header.tags.map((tag) => tag.get('value', { decode: true, string: true }))).toEqual([
      'text/plain',
    ]);
  });

  test('is answered with 208 and stays one transaction when it is posted again', async () => {
    const transaction = await client.post('once');
    const { height } = await arweave.network.getInfo();
    const again = await arweave.api.post('tx', transaction);
    expect(again.status).toBe(208);
    expect((await arweave.network.getInfo()).height).toBe(height);
  });

  test('shows each of its fields', async () => {
    const transaction = await client.sign('fields', { Kind: 'test' });
    await arweave.transactions.post(transaction);
    const field = async (name: string) =>
      (await arweave.api.get(`tx/${transaction.id}/${name}`)).data as unknown;
    expect(await field('owner')).toBe(client.key.n);
    expect(String(await field('data_size'))).toBe('6');
    expect(await field('data')).toBe(Buffer.from('fields').toString('base64url'));
    expect(await field('tags')).toEqual([{ name: 'S2luZA', value: 'dGVzdA' }]);
    expect((await arweave.api.get(`tx/${transaction.id}/nonsense`)).status).toBe(400);
  });
});

describe('a transaction in chunks', () => {
  // Not a multiple of anything, and with a last chunk so short that the one before is split (32 KiB rule).
  const data = randomBytes(5 * 262_144 + 1000);

  test('is pending until its last chunk came, then confirmed, and its data is the same', async () => {
    const transaction = await client.sign(data);
    const uploader = await arweave.transactions.getUploader(transaction);
    await uploader.uploadChunk();
    while (!uploader.isComplete) {
      expect((await arweave.transactions.getStatus(transaction.id)).status).toBe(202);
      expect((await fetch(`${gateway.url}/${transaction.id}`)).status).toBe(404);
      await uploader.uploadChunk();
    }
    expect(uploader.totalChunks).toBe(6);
    expect((await arweave.transactions.getStatus(transaction.id)).status).toBe(200);
    const back = await arweave.transactions.getData(transaction.id, { decode: true });
    expect(Buffer.from(back as Uint8Array).equals(data)).toBe(true);
  });

  test('is finished by another client that knows only its id and data', async () => {
    const content = randomBytes(900_000);
    const transaction = await client.sign(content);
    const first = await arweave.transactions.getUploader(transaction);
    await first.uploadChunk();
    await first.uploadChunk();
    const second = await arweave.transactions.getUploader(transaction.id, content);
    while (!second.isComplete) await second.uploadChunk();
    expect(await (await fetch(`${gateway.url}/${transaction.id}`)).arrayBuffer()).toEqual(
      new Uint8Array(content).buffer,
    );
  });

  test('has chunks whose proofs lead to the data root, at the offset the gateway names', async () => {
    const transaction = await client.sign(randomBytes(600_000));
    await arweave.transactions.post(transaction);
    const { offset, size } = await arweave.chunks.getTransactionOffset(transaction.id);
    expect(size).toBe('600000');
    const chunk = await arweave.chunks.getChunk(Number(offset));
    const path = Buffer.from(chunk.data_path, 'base64url');
    const bytes = Buffer.from(chunk.chunk, 'base64url');
    const root = Buffer.from(transaction.data_root, 'base64url');
    expect(await validatePath(root, 599_999, 0, 600_000, path)).toMatchObject({ chunkSize: bytes.length });
    expect((await arweave.api.get(`chunk/${Number(offset) + 1}`)).status).toBe(404);
    expect((await arweave.api.get('chunk/0')).status).toBe(404);
  });

  test('shares its chunks with another transaction of the same data', async () => {
    const content = randomBytes(700_000);
    const first = await client.sign(content, { n: '1' });
    const second = await client.sign(content, { n: '2' });
    const firstUpload = await arweave.transactions.getUploader(first);
    await firstUpload.uploadChunk();
    const secondUpload = await arweave.transactions.getUploader(second);
    await secondUpload.uploadChunk();
    while (!firstUpload.isComplete) await firstUpload.uploadChunk();
    for (const { id } of [first, second]) {
      expect((await arweave.transactions.getStatus(id)).status).toBe(200);
      const back = await arweave.transactions.getData(id, { decode: true });
      expect(Buffer.from(back as Uint8Array).equals(content)).toBe(true);
    }
  });
});

async function price(bytes: number, target?: string): Promise<bigint> {
  return BigInt(await arweave.transactions.getPrice(bytes, target));
}

describe('the wallet', () => {
  test('is charged what the transaction promised, and shows its last transaction', async () => {
    const address = archiveAddress(client.key);
    expect(await arweave.wallets.jwkToAddress(client.key)).toBe(address);
    const before = BigInt(await arweave.wallets.getBalance(address));
    const transaction = await client.post('paid for');
    expect(BigInt(await arweave.wallets.getBalance(address))).toBe(before - BigInt(transaction.reward));
    expect(await arweave.wallets.getLastTransactionID(address)).toBe(transaction.id);
  });

  test('can send coins', async () => {
    const target = randomBytes(32).toString('base64url');
    const before = BigInt(await arweave.wallets.getBalance(target));
    const transaction = await arweave.createTransaction({ target, quantity: '12345' }, client.key);
    await arweave.transactions.sign(transaction, client.key);
    expect((await arweave.transactions.post(transaction)).status).toBe(200);
    expect(BigInt(await arweave.wallets.getBalance(target))).toBe(before + 12345n);
    expect((await arweave.transactions.getStatus(transaction.id)).status).toBe(200);
  });

  test('pays more for more bytes, and for a new address', async () => {
    expect(await price(1)).toBe(await price(262_144));
    expect(await price(262_145)).toBeGreaterThan(await price(262_144));
    expect(await price(1, randomBytes(32).toString('base64url'))).toBeGreaterThan(await price(1));
  });
});

describe('blocks', () => {
  test('are one chain, and the same in info, status, block and GraphQL', async () => {
    const transaction = await client.post('in a block');
    const { confirmed } = await arweave.transactions.getStatus(transaction.id);
    const block = await arweave.blocks.get(confirmed?.block_indep_hash ?? '');
    expect(block.txs).toEqual([transaction.id]);
    expect(block.height).toBe(confirmed?.block_height);
    const previous = await arweave.blocks.get(block.previous_block);
    expect(previous.height).toBe(block.height - 1);
    const { data } = await client.graphql<{ data: { transaction: { block: object } } }>(
      'query ($id: ID!) { transaction(id: $id) { block { id height timestamp previous } } }',
      {
        id: transaction.id,
      },
    );
    expect(data.transaction.block).toEqual({
      id: block.indep_hash,
      height: block.height,
      timestamp: block.timestamp,
      previous: block.previous_block,
    });
  });
});
