import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ArweaveClient } from './arweaveClient.js';
import { endGateways, startGateway, temporaryFolder, type GatewayProcess } from './gatewayProcess.js';

const data = randomBytes(700_000);
let gateway: GatewayProcess;
let client: ArweaveClient;
let id: string;

beforeAll(async () => {
  gateway = await startGateway(await temporaryFolder());
  client = await ArweaveClient.open(gateway.port);
  ({ id } = await client.post(data, { 'Content-Type': 'application/vnd.safetensors; version=1' }));
});
afterAll(endGateways);

function get(headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return fetch(`${gateway.url}/${id}`, { method, headers });
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

test('data comes whole, with its length and the content type of its tags', async () => {
  const response = await get();
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/vnd.safetensors; version=1');
  expect(response.headers.get('content-length')).toBe('700000');
  expect(response.headers.get('accept-ranges')).toBe('bytes');
  expect((await bytesOf(response)).equals(data)).toBe(true);
});

test('HEAD gives the same headers and no body', async () => {
  const response = await get({}, 'HEAD');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-length')).toBe('700000');
  expect(response.headers.get('content-type')).toBe('application/vnd.safetensors; version=1');
  expect((await bytesOf(response)).length).toBe(0);
});

describe('a range', () => {
  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=0-262143', 0, 262_144],
    ['bytes=262143-262144', 262_143, 262_145],
    ['bytes=100-650000', 100, 650_001],
    ['bytes=699999-', 699_999, 700_000],
    ['bytes=-5', 699_995, 700_000],
    ['bytes=-9999999', 0, 700_000],
    ['bytes=500000-9999999', 500_000, 700_000],
  ])('%s is served as 206', async (range, from, to) => {
    const response = await get({ range });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/700000`);
    expect(response.headers.get('content-length')).toBe(String(to - from));
    expect((await bytesOf(response)).equals(data.subarray(from, to))).toBe(true);
  });

  test.each(['bytes=700000-', 'bytes=900000-900001', 'bytes=-0'])('%s cannot be satisfied', async (range) => {
    const response = await get({ range });
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe('bytes */700000');
  });

  test.each(['bytes=5-1', 'lines=1-2', 'bytes=', 'bytes=0-1,5-6', 'bytes=a-b'])(
    '%s is ignored',
    async (range) => {
      const response = await get({ range });
      expect(response.status).toBe(200);
      expect((await bytesOf(response)).length).toBe(700_000);
    },
  );

  test('is ignored when it was meant for other content', async () => {
    expect((await get({ range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200);
    expect((await get({ range: 'bytes=0-9', 'if-range': `"${id}"` })).status).toBe(206);
  });
});

test('a copy that is held already is not sent again', async () => {
  const response = await get({ 'if-none-match': `"${id}"` });
  expect(response.status).toBe(304);
});

test('a content type that is no media type is not passed on', async () => {
  const forged = await client.post('x', { 'Content-Type': 'text/html\r\nset-cookie: a=b' });
  const response = await fetch(`${gateway.url}/${forged.id}`);
  expect(response.headers.get('content-type')).toBe('application/octet-stream');
  expect(response.headers.get('set-cookie')).toBeNull();
});

test('a reader that goes away early does no harm', async () => {
  for (let i = 0; i < 20; i++) {
    const stop = new AbortController();
    const response = await fetch(`${gateway.url}/${id}`, { signal: stop.signal });
    await response.body?.getReader().read();
    stop.abort();
  }
  expect((await bytesOf(await get())).equals(data)).toBe(true);
});
