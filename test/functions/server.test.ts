import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { hashJson } from '#core/canonicalJson.js';
import { awsEnvironment, baseEnvironment } from '#local/environment.js';
import { distFile } from '#local/paths.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { ensureTable, openTable } from '#services/table.js';
import { startStores, type Stores } from '../services/realParts.js';
import { addressOf, coordinator, exampleTrigger } from '../services/views.js';
import { gatewayEvent, githubHeaders, githubSecret, pushBody } from './webhooks.js';

let stores: Stores;
let server: ChildProcess;
let output = '';
let url: string;

beforeAll(async () => {
  stores = await startStores(['dynamodb', 'sqs']);
  await ensureTable({ table: String(process.env['TABLE_NAME']) });
  const table = openTable({ table: String(process.env['TABLE_NAME']) });
  await table.createTrigger(exampleTrigger({ name: 'pushes' }), [githubSecret]);
  server = start({
    TABLE_NAME: String(process.env['TABLE_NAME']),
    BUCKET_NAME: 'bucket',
    ...stores.queueUrls,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    TEMPORAL_NAMESPACE: 'default',
    COORDINATOR_ADDRESS: coordinator,
    CHAIN_RPC_URLS: 'http://127.0.0.1:1/key-of-the-provider',
    CHAIN_DEPLOYMENT: JSON.stringify({
      chainId: 31337,
      token: addressOf('token'),
      consortium: addressOf('consortium'),
      jobs: addressOf('jobs'),
      rewards: addressOf('rewards'),
      judges: {
        sums: addressOf('sums'),
        leaves: addressOf('leaves'),
        data: addressOf('data'),
        rewards: addressOf('reward judge'),
        receipts: addressOf('receipts'),
        seals: addressOf('seals'),
        robust: addressOf('robust'),
      },
      block: 1,
    }),
    PORT: '0',
  });
  url = `http://127.0.0.1:${await listening(server)}`;
});
afterAll(async () => {
  server.kill('SIGKILL');
  await stores.stop();
});

function start(env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [distFile('functions.js')], {
    env: { ...baseEnvironment(), ...awsEnvironment(stores.ports), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  return child;
}

async function listening(child: ChildProcess): Promise<number> {
  for (;;) {
    const line = output.split('\n').find((text) => text.includes('"listening"'));
    if (line) return (JSON.parse(line) as { port: number }).port;
    if (child.exitCode !== null) throw new Error(output);
    await Promise.race([child.stdout && once(child.stdout, 'data'), once(child, 'exit')]);
  }
}

test('serves the API and the webhooks on 127.0.0.1', async () => {
  expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ ok: true, stack: coordinator });
  const body = pushBody();
  const answer = await fetch(`${url}/webhooks/pushes`, {
    method: 'POST',
    headers: githubHeaders(body),
    body,
  });
  expect(answer.status).toBe(202);
  const unknown = await fetch(`${url}/webhooks/none/more`, { method: 'POST', body: '' });
  expect(await unknown.json()).toMatchObject({ code: 'NOT_FOUND' });
  const wrong = await fetch(`${url}/webhooks/pushes`, { method: 'POST', headers: githubHeaders('{}'), body });
  expect(await wrong.json()).toMatchObject({ code: 'BAD_SIGNATURE' });
  expect((await (await fetch(`${url}/v1/jobs`)).json()) as object).toMatchObject({
    items: [{ trigger: 'pushes' }],
  });
});

test('refuses an endless body without a length', async () => {
  const upload = request(`${url}/webhooks/pushes`, {
    method: 'POST',
    headers: { 'transfer-encoding': 'chunked' },
  });
  const answered = new Promise<number | undefined>((resolve) => {
    upload.once('response', (answer) => resolve(answer.statusCode));
  });
  upload.on('error', () => undefined);
  for (let sent = 0; sent < 24; sent++) upload.write(Buffer.alloc(65_536));
  expect(await answered).toBe(413);
  upload.destroy();
});

test('answers the request under way when it is told to stop, and logs no secret', async () => {
  const body = pushBody({ after: 'under way' });
  const headers: Record<string, string> = { ...githubHeaders(body), 'content-length': String(body.length) };
  const call = request(`${url}/webhooks/pushes`, { method: 'POST', headers });
  const answered = once(call, 'response') as Promise<[{ statusCode?: number }]>;
  call.write(body.slice(0, 10));
  await fetch(`${url}/health`);
  server.kill('SIGTERM');
  while (!output.includes('"stopping"')) await once(server.stdout ?? server, 'data');
  call.end(body.slice(10));
  expect((await answered)[0].statusCode).toBe(202);
  if (server.exitCode === null) await once(server, 'exit');
  expect(server.exitCode).toBe(0);
  for (const secret of [githubSecret, String(headers['x-hub-signature-256']), 'key-of-the-provider', body])
    expect(output).not.toContain(secret);
  expect(output).toContain('"job queued"');
});

describe('behind API Gateway', () => {
  let handler: (event: object, context: object) => Promise<APIGatewayProxyStructuredResultV2>;
  beforeAll(async () => {
    Object.assign(process.env, {
      JOBS_QUEUE_URL: stores.jobsQueue,
      COORDINATOR_ADDRESS: coordinator.toUpperCase().replace('0X', '0x'),
    });
    ({ handler } = (await import('#functions/webhook/handler.js')) as unknown as { handler: typeof handler });
  });

  test.each([false, true])('the same bytes are the same job (base64: %s)', async (base64) => {
    const body = pushBody({ after: 'gateway ✓' });
    const event = gatewayEvent('POST', '/webhooks/pushes', githubHeaders(body), body, base64);
    const answer = await handler(event, {});
    expect(answer.statusCode).toBe(202);
    expect(JSON.parse(String(answer.body))).toEqual({
      job: hashJson(sha256, ['github', 'pushes', sha256Hex(Buffer.from(body))]),
      repeated: base64,
    });
  });

  test('a refusal is a problem', async () => {
    const answer = await handler(gatewayEvent('POST', '/webhooks/pushes', {}, '{}'), {});
    expect(answer).toMatchObject({
      statusCode: 401,
      headers: { 'content-type': 'application/problem+json' },
    });
    expect(JSON.parse(String(answer.body))).toMatchObject({ code: 'NOT_SIGNED', status: 401 });
  });
});

test('says which variables are missing or wrong, and never their values', async () => {
  output = '';
  const child = start({ PORT: 'secret-port', CHAIN_RPC_URLS: 'secret-url' });
  await once(child, 'exit');
  expect(child.exitCode).not.toBe(0);
  expect(output).toContain('PORT');
  expect(output).not.toContain('secret-');
});
