import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { cors } from 'hono/cors';
import type { Logger } from '#services/log.js';
import { isArchiveId } from '#services/archiveId.js';
import { transactionHeader, isCanonicalBase64url } from '#services/archiveTransaction.js';
import { transactionPath } from './chain.js';
import { parseChunk } from './chunks.js';
import { answerData, dataField } from './data.js';
import { answerGraphql } from './graphql.js';
import { Refusal } from './refusal.js';
import type { Accepted, Weave } from './weave.js';

/** The HTTP interface of an Arweave node and gateway: https://docs.arweave.org/developers/arweave-node-server/http-api */
export function createGateway(weave: Weave, log: Logger): Hono {
  const app = new Hono();
  app.use(cors());
  app.onError((error, c) => answerError(error, c, log));
  app.notFound((c) => c.text('Request type not found.', 400));

  for (const path of ['/', '/info']) app.get(path, (c) => c.json(info(weave)));
  app.get('/peers', (c) => c.json([]));
  app.get('/height', (c) => c.text(String(weave.chain.tip.height)));
  app.get('/time', (c) => c.text(String(Math.floor(Date.now() / 1000))));
  app.get('/tx_anchor', (c) => c.text(weave.chain.tip.indep_hash));
  app.get('/block/current', (c) => c.json(weave.chain.tip));
  app.get('/block/height/:height{[0-9]{1,15}}', (c) =>
    c.json(found(weave.chain.at(Number(c.req.param('height'))))),
  );
  app.get('/block/hash/:hash', (c) => c.json(found(weave.chain.byHash(c.req.param('hash')))));

  app.get('/price/:bytes/:target?', (c) => {
    const { bytes, target } = c.req.param();
    if (!/^[0-9]{1,20}$/.test(bytes)) throw new Refusal(400, { error: 'size_must_be_an_integer' });
    return c.text(String(weave.ledger.price(BigInt(bytes), target === undefined ? '' : address(target))));
  });
  app.get('/wallet/:address/balance', (c) =>
    c.text(String(weave.ledger.balance(address(c.req.param('address'))))),
  );
  app.get('/wallet/:address/last_tx', (c) =>
    c.text(weave.ledger.lastTransaction(address(c.req.param('address')))),
  );

  app.post('/tx', limit(MAX_TRANSACTION), async (c) => {
    const body = await readJson(c, 'Invalid JSON.');
    const header = transactionHeader.safeParse(body);
    if (!header.success) throw new Refusal(400, 'Invalid transaction.');
    const isNew = await weave.addTransaction(header.data, bodyData(body));
    if (!isNew) return c.text('Transaction already processed.', 208);
    log.info(
      { id: header.data.id, size: header.data.data_size, confirmed: !!weave.get(header.data.id)?.block },
      'transaction',
    );
    return c.text('OK');
  });
  app.get('/tx/pending', (c) => c.json(weave.pendingIds()));
  // Also while chunks are missing: a client that goes on with an upload needs the header.
  app.get('/tx/:id', (c) => c.json({ ...transaction(weave, c).header, data: '', data_tree: [] }));
  app.get('/tx/:id/status', (c) => {
    const { block } = transaction(weave, c);
    if (!block) return c.text('Pending', 202);
    return c.json({
      block_height: block.height,
      block_indep_hash: block.indep_hash,
      number_of_confirmations: weave.chain.tip.height - block.height + 1,
    });
  });
  app.get('/tx/:id/offset', (c) => {
    const { block, header } = transaction(weave, c);
    if (!block || block.block_size === 0) throw new Refusal(404, 'Not Found.');
    return c.json({ offset: String(block.weave_size), size: header.data_size });
  });
  app.get('/tx/:id/:field', async (c) => {
    const entry = transaction(weave, c);
    const field = c.req.param('field');
    if (field === 'data') return c.text(await dataField(weave, entry));
    if (field.startsWith('data.')) return answerData(c, weave, entry.header.id);
    if (field === 'tags') return c.json(entry.header.tags);
    const value = Object.entries(entry.header).find(([name]) => name === field)?.[1];
    if (value === undefined) throw new Refusal(400, { error: 'invalid_field' });
    return c.text(String(value));
  });

  app.post('/chunk', limit(MAX_CHUNK), async (c) => {
    const confirmed = await weave.addChunk(parseChunk(await readJson(c, { error: 'invalid_json' })));
    for (const id of confirmed) log.info({ id, confirmed: true }, 'transaction');
    return c.body(null, 200);
  });
  app.get('/chunk/:offset', async (c) => {
    const offset = c.req.param('offset');
    if (!/^[0-9]{1,15}$/.test(offset)) throw new Refusal(400, { error: 'invalid_offset' });
    const { chunk, header } = found(await weave.chunkAt(Number(offset)));
    return c.json({
      chunk: toBase64url(chunk.bytes),
      data_path: toBase64url(chunk.path),
      tx_path: toBase64url(transactionPath(header)),
      packing: 'unpacked',
    });
  });

  app.post('/graphql', limit(MAX_QUERY), async (c) => {
    const { status, body } = await answerGraphql(weave, await readJson(c, { error: 'invalid_json' }));
    return c.json(body, status);
  });
  app.get('/raw/:id', (c) => answerData(c, weave, checkedId(c.req.param('id'))));
  app.get('/:id{[A-Za-z0-9_-]{43}}', (c) => answerData(c, weave, checkedId(c.req.param('id'))));
  return app;
}

/** 10 MiB of data in base64 and the header; larger data comes in chunks. */
const MAX_TRANSACTION = 15 * 1024 * 1024;
/** The network's own limit. */
const MAX_CHUNK = 750_000;
const MAX_QUERY = 256 * 1024;

function limit(maxSize: number) {
  return bodyLimit({ maxSize, onError: (c) => c.text('Payload too large', 413) });
}

async function readJson(c: Context, otherwise: Refusal['body']): Promise<unknown> {
  try {
    return JSON.parse(await c.req.text());
  } catch {
    throw new Refusal(400, otherwise);
  }
}

function bodyData(body: unknown): Uint8Array {
  const data = typeof body === 'object' && body !== null && 'data' in body ? body.data : '';
  if (typeof data !== 'string' || !isCanonicalBase64url(data)) throw new Refusal(400, 'Invalid transaction.');
  return Buffer.from(data, 'base64url');
}

function checkedId(id: string): string {
  if (!isArchiveId(id)) throw new Refusal(400, 'Invalid hash.');
  return id;
}

function address(text: string): string {
  if (!isArchiveId(text)) throw new Refusal(400, 'Invalid address.');
  return text;
}

function transaction(weave: Weave, c: Context): Accepted {
  return found(weave.get(checkedId(c.req.param('id') ?? '')));
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Refusal(404, 'Not Found.');
  return value;
}

function info(weave: Weave): object {
  const { height, indep_hash } = weave.chain.tip;
  return {
    network: 'roundtable.local',
    version: 5,
    release: 1,
    height,
    current: indep_hash,
    blocks: height + 1,
    peers: 0,
    queue_length: weave.pendingIds().length,
    node_state_latency: 0,
  };
}

function answerError(error: Error, c: Context, log: Logger): Response {
  if (error instanceof Refusal) {
    if (c.req.method === 'POST')
      log.warn({ path: c.req.path, status: error.status, reason: error.message }, 'refused');
    return typeof error.body === 'string'
      ? c.text(error.body, error.status)
      : c.json(error.body, error.status);
  }
  log.error({ path: c.req.path, error: error.stack }, 'failed');
  const isFull = 'code' in error && error.code === 'ENOSPC';
  return isFull ? c.json({ error: 'disk_full' }, 503) : c.json({ error: 'internal' }, 500);
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
