import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { JsonRpcProvider, Wallet } from 'ethers';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import type { Deployment } from '#contracts/deployment.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import { apiApp, type ApiParts } from '#functions/api/app.js';
import { openApiParts } from '#functions/api/parts.js';
import { openLog } from '#functions/log.js';
import { chainPart } from '#local/emulators/chain.js';
import {
  giveEther,
  localContracts,
  localProvider,
  localTerms,
  sendCall,
} from '#local/consortium/contracts.js';
import { sha256Hex } from '#services/sha256.js';
import { ensureBucket } from '#services/artifacts.js';
import { ensureTable } from '#services/table.js';
import { startPart, startStores, type StartedPart, type Stores } from '../services/realParts.js';
import { exampleJob, exampleRound, exampleSpec, exampleVersion, hashOf } from '../services/views.js';
import { gatewayEvent, githubHeaders, pushBody } from './webhooks.js';

let stores: Stores;
let chain: StartedPart;
let parts: ApiParts;
let app: ReturnType<typeof apiApp>;
let spec: ReturnType<typeof exampleSpec>;

const coordinator = Wallet.createRandom();
const member = Wallet.createRandom();
const runner = Wallet.createRandom();
const stranger = Wallet.createRandom();
const stack = coordinator.address.toLowerCase() as Hex;
const signals: string[] = [];

beforeAll(async () => {
  stores = await startStores(['dynamodb', 's3', 'sqs']);
  chain = await startPart(chainPart({ port: stores.ports.chain, stateDir: stores.folder }));
  const rpcUrl = `http://127.0.0.1:${stores.ports.chain}`;
  const deployment = await localContracts(stores.folder, new Wallet(coordinator.privateKey), rpcUrl);
  await enterChain(rpcUrl, deployment);
  await Promise.all([
    ensureTable({ table: String(process.env['TABLE_NAME']) }),
    ensureBucket({ bucket: String(process.env['BUCKET_NAME']) }),
  ]);
  Object.assign(process.env, {
    JOBS_QUEUE_URL: stores.jobsQueue,
    TEMPORAL_ADDRESS: `127.0.0.1:${stores.ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    COORDINATOR_ADDRESS: coordinator.address,
    CHAIN_RPC_URLS: rpcUrl,
    CHAIN_DEPLOYMENT: JSON.stringify(deployment),
  });
  // Temporal itself has its test in queues.test.ts; here only what reaches it is of interest.
  const temporal = { signalJob: async (job: Hex, signal: string) => void signals.push(`${signal} ${job}`) };
  parts = { ...openApiParts(openLog('test')), temporal };
  app = apiApp(parts);
  spec = exampleSpec({
    model: { sha256: await parts.artifacts.put(Buffer.from('model')) },
    evaluation: { sha256: await parts.artifacts.put(Buffer.from('evaluation')) },
  });
}, 60_000);
afterAll(async () => {
  await chain.kill();
  await stores.stop();
});

/** The coordinator and a member are admitted; a runner of the member registers with its stake. */
async function enterChain(rpcUrl: string, deployment: Deployment): Promise<void> {
  const provider: JsonRpcProvider = localProvider(rpcUrl);
  const consortium = typedContract(consortiumAbi, deployment.consortium, provider);
  const token = typedContract(tokenAbi, deployment.token, provider);
  const send = (wallet: { privateKey: string }, call: ChainCall) =>
    sendCall(new Wallet(wallet.privateKey), provider, call);
  const runnerAddress = runner.address as Hex;
  await giveEther(provider, runner.address);
  await send(
    coordinator,
    consortium.call.addMember(coordinator.address as Hex, 'north', 'http://stack.example'),
  );
  await send(coordinator, consortium.call.addMember(member.address as Hex, 'harbour', ''));
  await send(coordinator, token.call.transfer(runnerAddress, localTerms.minStake));
  await send(runner, token.call.approve(deployment.consortium, localTerms.minStake));
  await send(runner, consortium.call.register(member.address as Hex, localTerms.minStake));
  provider.destroy();
}

/** Whatever an answer may hold; which of it must be there is for each test to say. */
interface Answer {
  status: number;
  body: {
    code: string;
    status: number;
    detail: string;
    mistakes: { path: string }[];
    job: Hex;
    items: { round: number; name: string }[];
    secret: string;
    trigger: object;
    url: string;
    headers: Record<string, string>;
    createdAt: string;
    updatedAt: string;
  };
}

interface Signing {
  by?: { privateKey: string; address: string };
  as?: string;
  at?: number;
  audience?: string;
  signedPath?: string;
  signedBody?: string;
}

async function signedHeaders(
  method: string,
  path: string,
  body: string,
  how: Signing,
): Promise<Record<string, string>> {
  const by = how.by ?? member;
  const timestamp = how.at ?? Math.floor(Date.now() / 1_000);
  const text = requestText({
    method,
    path: how.signedPath ?? path,
    bodyHash: sha256Hex(Buffer.from(how.signedBody ?? body)),
    timestamp,
    audience: how.audience ?? stack,
  });
  const signature = await new Wallet(by.privateKey).signMessage(text);
  return { authorization: authorizationHeader(how.as ?? by.address, timestamp, signature) };
}

async function post(path: string, message: unknown, how: Signing = {}): Promise<Answer> {
  const body = message === undefined ? '' : typeof message === 'string' ? message : JSON.stringify(message);
  const headers = await signedHeaders('POST', path, body, how);
  const answer = await app.request(path, { method: 'POST', headers, body });
  const text = await answer.text();
  return { status: answer.status, body: JSON.parse(text || 'null') as Answer['body'] };
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await app.request(path, { headers });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

const submission = (key: string, changes: object = {}) => ({ key, spec: { ...spec, ...changes } });

test('health tells which stack this is', async () => {
  expect(await get('/health')).toEqual({
    status: 200,
    body: { ok: true, stack, deployment: parts.deployment, chainId: 31337 },
  });
});

describe('the OpenAPI document', () => {
  test('names every endpoint, its message and its answer', async () => {
    const document = (await (await app.request('/openapi.json')).json()) as {
      paths: Record<string, Record<string, object>>;
    };
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations.sort()).toEqual(
      app.routes
        .filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
        .map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`)
        .sort(),
    );
    expect(document.paths['/v1/jobs']?.['get']).toMatchObject({
      parameters: [{ name: 'limit', in: 'query' }],
    });
    const submitted = {
      participants: { properties: { quorum: { anyOf: [{ type: 'integer' }, { enum: ['all'] }] } } },
      model: { properties: { sha256: { type: 'string', pattern: '^0x[0-9a-f]{64}$' } } },
    };
    expect(document.paths['/v1/jobs']?.['post']).toMatchObject({
      security: [{ roundtable: [] }],
      requestBody: {
        content: { 'application/json': { schema: { properties: { spec: { properties: submitted } } } } },
      },
    });
  });
});

describe('a signed request', () => {
  const now = Math.floor(Date.now() / 1_000);
  test.each<[string, string, Signing]>([
    ['BAD_SIGNATURE', 'signed by another key than it says', { by: stranger, as: member.address }],
    ['BAD_SIGNATURE', 'signed for another stack', { audience: stranger.address }],
    ['BAD_SIGNATURE', 'signed for another path', { signedPath: '/v1/triggers' }],
    ['BAD_SIGNATURE', 'signed with another body', { signedBody: '{}' }],
    ['TOO_OLD', 'signed long ago', { at: now - 400 }],
    ['TOO_OLD', 'signed far in the future', { at: now + 400 }],
    ['FORBIDDEN', 'of a stranger', { by: stranger }],
    ['FORBIDDEN', 'of a runner, who is no member', { by: runner }],
  ])('is refused with %s when %s', async (code, _, how) => {
    const { status, body } = await post('/v1/jobs', submission('refused-key'), how);
    expect([body.code, body.status]).toEqual([code, status]);
    expect((await get('/v1/jobs')).body.items).toEqual([]);
  });

  test('is refused without a signature or with a malformed one', async () => {
    for (const authorization of [
      '',
      'Bearer x',
      `Roundtable address=${stack}, timestamp=1, signature=0x00`,
    ]) {
      const answer = await app.request('/v1/jobs', {
        method: 'POST',
        headers: { authorization },
        body: '{}',
      });
      expect(await answer.json()).toMatchObject({ code: 'NOT_SIGNED', status: 401 });
    }
  });

  test('is judged by its signature before its body is parsed', async () => {
    expect((await post('/v1/jobs', 'not JSON', { by: stranger })).body.code).toBe('FORBIDDEN');
    expect((await post('/v1/jobs', 'not JSON')).body.code).toBe('INVALID_INPUT');
  });
});

describe('submitting a job', () => {
  test('queues it once for each key, and refuses the key for another job', async () => {
    const first = await post('/v1/jobs', submission('key-of-job-1'));
    expect(first).toMatchObject({ status: 202, body: { repeated: false } });
    const { job } = first.body;
    expect(await post('/v1/jobs', submission('key-of-job-1'))).toEqual({
      status: 202,
      body: { job, repeated: true },
    });
    expect((await post('/v1/jobs', submission('key-of-job-1', { rounds: 3 }))).body.code).toBe('CONFLICT');
    expect((await post('/v1/jobs', submission('key-of-job-1'), { by: coordinator })).body.job).not.toBe(job);
    const view = (await get(`/v1/jobs/${job}`)).body;
    expect(view).toEqual(
      exampleJob({
        job,
        trigger: 'submit',
        spec,
        coordinator: stack,
        createdAt: view.createdAt,
        updatedAt: view.updatedAt,
      }),
    );
  });

  test('lists every mistake of the message with its path', async () => {
    const { status, body } = await post('/v1/jobs', { key: 'short', spec: { ...spec, rounds: 0, extra: 1 } });
    expect(status).toBe(400);
    expect(body.code).toBe('INVALID_INPUT');
    expect(body.mistakes.map(({ path }) => path).sort()).toEqual(['key', 'spec', 'spec.rounds']);
  });

  test('lists every reason why the spec cannot be run', async () => {
    const bad = submission('bad-spec-key', {
      model: { sha256: hashOf('no model') },
      evaluation: { sha256: hashOf('no evaluation') },
      participants: { ...spec.participants, quorum: 9, most: 4 },
    });
    const { status, body } = await post('/v1/jobs', bad);
    expect([status, body.code]).toEqual([422, 'JOB_INVALID']);
    expect(body.mistakes.map(({ path }) => path)).toEqual([
      'model.sha256',
      'evaluation.sha256',
      'participants.quorum',
    ]);
    expect(body.detail).toContain('model.sha256');
  });
});

describe('a job', () => {
  test('is paused, resumed and cancelled by members; each signature works once', async () => {
    const { job } = (await post('/v1/jobs', submission('to-be-signalled'))).body;
    for (const signal of ['pause', 'resume', 'cancel'])
      expect(await post(`/v1/jobs/${job}/${signal}`, undefined)).toEqual({ status: 202, body: { job } });
    expect(signals).toEqual([`pause ${job}`, `resume ${job}`, `cancel ${job}`]);
    const again: Signing = { at: Math.floor(Date.now() / 1_000) - 30 };
    expect((await post(`/v1/jobs/${job}/pause`, undefined, again)).status).toBe(202);
    expect((await post(`/v1/jobs/${job}/pause`, undefined, again)).body.code).toBe('CONFLICT');
    expect((await post(`/v1/jobs/${job}/pause`, undefined, { by: runner })).body.code).toBe('FORBIDDEN');
  });

  test('that has ended takes no signal, and an unknown one is NOT_FOUND', async () => {
    const { job } = (await post('/v1/jobs', submission('to-be-ended'))).body;
    await parts.table.projectJob({ ...exampleJob({ job, spec }), seq: 1, state: 'done' });
    expect((await post(`/v1/jobs/${job}/cancel`, undefined)).body.code).toBe('CONFLICT');
    for (const path of [`/v1/jobs/${hashOf('none')}`, `/v1/jobs/${hashOf('none')}/rounds`, '/v1/nothing'])
      expect((await get(path)).body).toMatchObject({ code: 'NOT_FOUND', status: 404 });
    expect((await get('/v1/jobs/0x00')).body).toMatchObject({
      code: 'INVALID_INPUT',
      mistakes: [{ path: 'job' }],
    });
  });

  test('has its rounds', async () => {
    const { job } = (await post('/v1/jobs', submission('with-rounds'))).body;
    for (const round of [2, 1]) await parts.table.projectRound(exampleRound({ job, round }));
    const { body } = await get(`/v1/jobs/${job}/rounds`);
    expect(body.items.map(({ round }) => round)).toEqual([1, 2]);
  });

  test('is listed newest first, as many as asked for', async () => {
    expect((await get('/v1/jobs?limit=2')).body.items).toHaveLength(2);
    expect((await get('/v1/jobs?limit=0')).body.code).toBe('INVALID_INPUT');
    expect((await get('/v1/jobs?limits=1')).body.code).toBe('INVALID_INPUT');
  });
});

describe('triggers', () => {
  const request = (name: string, kind = 'github') => ({ name, kind, spec });

  test('show their secret once', async () => {
    const { status, body } = await post('/v1/triggers', request('nightly'));
    expect(status).toBe(201);
    expect(body.trigger).toMatchObject({ name: 'nightly', events: ['push'], refs: [], secrets: 1 });
    expect(body.secret).toMatch(/^[\w-]{43}$/);
    expect((await post('/v1/triggers', request('nightly'))).body.code).toBe('CONFLICT');
    expect((await post('/v1/triggers', request('calls', 'standard'))).body.secret).toMatch(
      /^whsec_[\w+/]{43}=$/,
    );
    const listed = (await get('/v1/triggers')).body.items;
    expect(listed.map(({ name }) => name)).toEqual(['calls', 'nightly']);
    expect(JSON.stringify(listed)).not.toContain(body.secret);
  });

  test('keep the secret before until the next rotation', async () => {
    const first = (await post('/v1/triggers', request('rotated'))).body.secret;
    const rotate = async () =>
      (await post('/v1/triggers/rotated/rotate', undefined, { at: rotations++ })).body;
    let rotations = Math.floor(Date.now() / 1_000) - 10;
    const second = await rotate();
    expect(second.trigger).toMatchObject({ secrets: 2, seq: 1 });
    expect((await parts.table.getTrigger('rotated'))?.secrets).toEqual([second.secret, first]);
    const third = await rotate();
    expect((await parts.table.getTrigger('rotated'))?.secrets).toEqual([third.secret, second.secret]);
    expect((await post('/v1/triggers/nothing/rotate', undefined)).body.code).toBe('UNKNOWN_TRIGGER');
  });

  test('are set up only by members, for jobs that can be run', async () => {
    expect((await post('/v1/triggers', request('by-runner'), { by: runner })).body.code).toBe('FORBIDDEN');
    const bad = { ...request('bad'), spec: { ...spec, model: { sha256: hashOf('no model') } } };
    expect((await post('/v1/triggers', bad)).body.code).toBe('JOB_INVALID');
  });
});

describe('runners', () => {
  const enrolment = {
    name: 'ward-1',
    software: '0.1.0',
    machine: 'two cores',
    data: [{ name: 'digits', samples: 2_000, input: [1, 28, 28], classes: 10 }],
  };
  const alive = {
    state: 'training',
    progress: { job: hashOf('job'), round: 1, step: 3, steps: 9, loss: 0.5 },
  };

  test('enrol with their registration on chain, then show signs of life', async () => {
    expect((await post('/v1/runners/seen', alive, { by: runner })).body.code).toBe('NOT_FOUND');
    const { status, body } = await post('/v1/runners/enrol', enrolment, { by: runner });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...enrolment,
      runner: runner.address.toLowerCase(),
      member: member.address.toLowerCase(),
      state: 'idle',
    });
    expect((await post('/v1/runners/seen', alive, { by: runner })).status).toBe(204);
    expect((await get('/v1/runners')).body.items).toEqual([
      expect.objectContaining({ name: 'ward-1', ...alive }),
    ]);
  });

  test('must be registered on chain; a member is no runner', async () => {
    for (const by of [stranger, member])
      expect((await post('/v1/runners/enrol', enrolment, { by })).body.code).toBe('FORBIDDEN');
  });
});

describe('artifacts', () => {
  test('are uploaded and downloaded past the API by runners and members', async () => {
    const data = Buffer.from('an update');
    const upload = { sha256: sha256Hex(data), size: data.length };
    const { body } = await post('/v1/uploads', upload, { by: runner });
    expect((await fetch(body.url, { method: 'PUT', headers: body.headers, body: data })).status).toBe(200);
    expect((await post('/v1/uploads', upload)).body).toEqual({ url: null, headers: {} });

    const path = `/v1/artifacts/${upload.sha256}`;
    const answer = await app.request(path, { headers: await signedHeaders('GET', path, '', {}) });
    expect(answer.status).toBe(307);
    expect(await (await fetch(String(answer.headers.get('location')))).text()).toBe('an update');
    expect((await get(path)).body.code).toBe('NOT_SIGNED');
    expect((await post('/v1/uploads', upload, { by: stranger })).body.code).toBe('FORBIDDEN');
    const missing = `/v1/artifacts/${hashOf('none')}`;
    expect((await get(missing, await signedHeaders('GET', missing, '', {}))).body.code).toBe('NOT_FOUND');
  });

  test('are at most 5 GiB', async () => {
    const { body } = await post('/v1/uploads', { sha256: hashOf('big'), size: 6 * 1024 ** 3 });
    expect(body).toMatchObject({ code: 'INVALID_INPUT', mistakes: [{ path: 'size' }] });
  });
});

test('versions, epochs and credits are read', async () => {
  await parts.table.putVersion(exampleVersion(0));
  const { versionId } = exampleVersion(0).model;
  expect((await get('/v1/versions?lineage=digits')).body.items).toEqual([exampleVersion(0)]);
  expect((await get(`/v1/versions/${versionId}`)).body).toEqual(exampleVersion(0));
  expect((await get(`/v1/versions/${hashOf('none')}`)).body.code).toBe('NOT_FOUND');
  await parts.table.credit({
    type: 'credit',
    payer: stack,
    job: hashOf('job'),
    round: 1,
    runner: runner.address.toLowerCase() as Hex,
    units: '1',
    amount: '2',
    manifestHash: hashOf('manifest'),
  });
  expect((await get('/v1/credits')).body.items).toHaveLength(1);
  expect((await get('/v1/epochs')).body).toEqual({ items: [] });
});

test('the Lambda answers what the node server answers', async () => {
  const { handler } = (await import('#functions/api/handler.js')) as unknown as {
    handler: (event: object, context: object) => Promise<APIGatewayProxyStructuredResultV2>;
  };
  const path = '/v1/uploads';
  const body = JSON.stringify({ sha256: hashOf('lambda'), size: 3 });
  const headers = await signedHeaders('POST', path, body, { by: runner });
  const answer = await handler(gatewayEvent('POST', path, headers, body), {});
  expect(answer.statusCode).toBe(200);
  const missing = await handler(gatewayEvent('GET', '/webhooks/x', githubHeaders(pushBody()), ''), {});
  expect(JSON.parse(String(missing.body))).toMatchObject({ code: 'NOT_FOUND' });
});

test('without the chain nobody can be recognised, and reading goes on', async () => {
  await chain.kill();
  const alone = apiApp(openApiParts(openLog('test')));
  const body = JSON.stringify(submission('without-chain'));
  const headers = await signedHeaders('POST', '/v1/jobs', body, {});
  const answer = await alone.request('/v1/jobs', { method: 'POST', headers, body });
  expect(answer.status).toBe(503);
  expect((await alone.request('/v1/jobs')).status).toBe(200);
});
