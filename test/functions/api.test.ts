import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import type { Hex } from '#core/hex.js';
import type { StackEntrance } from '#core/entryMessages.js';
import type { RunnerView } from '#core/views.js';
import { apiApp } from '#functions/api/app.js';
import { openApiParts } from '#functions/api/parts.js';
import { openLog } from '#services/log.js';
import { noTelemetry } from '#services/telemetry/telemetry.js';
import { checkEntrance } from '#services/entrance.js';
import { sha256Hex } from '#services/sha256.js';
import { exampleVersion, hashOf } from '../services/views.js';
import {
  coordinator,
  enrolmentOf,
  member,
  runner,
  signedHeaders,
  silentRunner,
  stack,
  strictRunner,
  strictRunnerTlsKey,
  startApi,
  stranger,
  type Signing,
  type TestApi,
} from './testApi.js';
import { gatewayEvent, githubHeaders, pushBody } from './webhooks.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api.stop());

test('health tells which stack this is', async () => {
  expect(await api.get('/health')).toEqual({
    status: 200,
    body: { ok: true, stack, deployment: api.parts.deployment, chainId: 31337 },
  });
});

describe('the OpenAPI document', () => {
  test('names every endpoint, its message and its answer', async () => {
    const document = (await (await api.app.request('/openapi.json')).json()) as {
      paths: Record<string, Record<string, object>>;
    };
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations.sort()).toEqual(
      api.app.routes
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
    const { status, body } = await api.post('/v1/jobs', { key: 'refused-key', spec: api.spec }, how);
    expect([body.code, body.status]).toEqual([code, status]);
    expect((await api.get('/v1/jobs')).body.items).toEqual([]);
  });

  test('is refused without a signature or with a malformed one', async () => {
    for (const authorization of [
      '',
      'Bearer x',
      `Roundtable address=${stack}, timestamp=1, signature=0x00`,
    ]) {
      const answer = await api.app.request('/v1/jobs', {
        method: 'POST',
        headers: { authorization },
        body: '{}',
      });
      expect(await answer.json()).toMatchObject({ code: 'NOT_SIGNED', status: 401 });
    }
  });

  test('is judged by its signature before its body is parsed', async () => {
    expect((await api.post('/v1/jobs', 'not JSON', { by: stranger })).body.code).toBe('FORBIDDEN');
    expect((await api.post('/v1/jobs', 'not JSON')).body.code).toBe('INVALID_INPUT');
  });
});

const enrol = async (change: Parameters<typeof enrolmentOf>[1] = {}, by: Signing['by'] = runner) =>
  api.post('/v1/runners/enrol', await enrolmentOf(api.parts.deployment, change), { by });

describe('runners', () => {
  const address = runner.address.toLowerCase();
  const alive = {
    state: 'training',
    progress: { job: hashOf('job'), round: 1, step: 3, steps: 9, loss: 0.5 },
  };

  test('enrol with their registration on chain, then show signs of life', async () => {
    expect((await api.post('/v1/runners/seen', alive, { by: runner })).body.code).toBe('NOT_FOUND');
    const { entry, ...introduction } = await enrolmentOf(api.parts.deployment);
    const { status, body } = await api.post('/v1/runners/enrol', { entry, ...introduction }, { by: runner });
    expect(status).toBe(200);
    expect(body).toEqual({
      member: member.address.toLowerCase(),
      entrance: JSON.parse(String(process.env['STACK_ENTRANCE'])) as object,
    });
    expect(await api.parts.table.findEntry(entry.statement.tlsFingerprint)).toEqual({
      runner: address,
      fingerprint: entry.statement.tlsFingerprint,
      sealingKey: entry.statement.sealingKey,
      expiresAt: entry.statement.expiry,
    });
    expect((await api.post('/v1/runners/seen', alive, { by: runner })).status).toBe(204);
    expect((await api.get('/v1/runners')).body.items).toEqual([
      expect.objectContaining({ ...introduction, ...alive, runner: address }),
    ]);
  });

  test('must be registered on chain; a member is no runner', async () => {
    for (const by of [stranger, member]) {
      const runner = by.address.toLowerCase() as Hex;
      expect((await enrol({ by, runner }, by)).body.code).toBe('FORBIDDEN');
    }
  });

  const soon = Math.floor(Date.now() / 1_000) + 7_200;
  test.each<[string, string, NonNullable<Parameters<typeof enrol>[0]>]>([
    ['BAD_SIGNATURE', 'is for another stack', { stack: `0x${'1'.repeat(40)}` }],
    ['BAD_SIGNATURE', 'is of another runner', { runner: `0x${'1'.repeat(40)}` }],
    ['BAD_SIGNATURE', 'was signed by another key', { by: stranger }],
    ['BAD_SIGNATURE', 'names another certificate', { tlsFingerprint: hashOf('another') }],
    ['TOO_OLD', 'has expired', { expiry: 1_700_000_000 }],
    ['INVALID_INPUT', 'would last for more than two days', { seconds: 49 * 3_600 }],
    ['INVALID_INPUT', 'ends before its certificate', { seconds: 3 * 3_600, expiry: soon }],
    ['INVALID_INPUT', 'has a sealing key of low order', { sealingKey: `0x${'0'.repeat(64)}` }],
    ['CONFLICT', 'has a nonce from before', { nonce: 5 }],
  ])('are refused with %s when the statement %s', async (code, _, change) => {
    await enrol();
    const { body } = await enrol(change);
    expect(body.code).toBe(code);
  });

  test('are refused unless they published on chain what they bring', async () => {
    const strict = { by: strictRunner, runner: strictRunner.address.toLowerCase() as Hex };
    const withKey = { ...strict, privateKey: strictRunnerTlsKey };
    const set = { name: 'letters', samples: 1, input: [2], classes: 2 };
    expect((await enrol({ ...withKey, data: [set] }, strictRunner)).status).toBe(200);
    const otherKey = await enrol(strict, strictRunner);
    expect(otherKey.body).toMatchObject({ code: 'FORBIDDEN', detail: expect.stringContaining('TLS key') });
    const otherData = await enrol({ ...withKey, data: [{ ...set, name: 'x-rays' }] }, strictRunner);
    expect(otherData.body).toMatchObject({ code: 'FORBIDDEN', detail: expect.stringContaining('x-rays') });
    const silent = { by: silentRunner, runner: silentRunner.address.toLowerCase() as Hex };
    expect((await enrol(silent, silentRunner)).body.detail).toContain('roundtable-runner register');
  });

  test('revoke their own certificates, and nobody else’s', async () => {
    const { entry, ...introduction } = await enrolmentOf(api.parts.deployment);
    await api.post('/v1/runners/enrol', { entry, ...introduction }, { by: runner });
    const fingerprints = [entry.statement.tlsFingerprint, hashOf('unknown')];
    const revoke = async (by: NonNullable<Signing['by']>) =>
      (await api.post('/v1/runners/revoke', { fingerprints }, { by })).body as unknown as object;
    expect(await revoke(member)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await revoke(strictRunner)).toEqual({ revoked: [] });
    expect((await api.parts.table.listBarred()).fingerprints.size).toBe(0);
    expect(await revoke(runner)).toEqual({ revoked: [entry.statement.tlsFingerprint] });
    expect([...(await api.parts.table.listBarred()).fingerprints]).toEqual([entry.statement.tlsFingerprint]);
  });

  test('are suspended and resumed by the member whose stack it is, and shown so', async () => {
    await enrol();
    const suspend = (by: typeof member, reason: string) => api.act('runner.suspend', address, { by, reason });
    for (const by of [member, runner]) expect((await suspend(by, 'wrong sums')).body.code).toBe('FORBIDDEN');
    expect((await suspend(coordinator, ' ')).body.code).toBe('INVALID_INPUT');
    expect((await suspend(coordinator, 'wrong sums')).status).toBe(200);
    const listed = async () =>
      ((await api.get('/v1/runners')).body.items as unknown as RunnerView[]).find(
        ({ runner }) => runner === address,
      )?.suspension;
    expect(await listed()).toMatchObject({ by: stack, reason: 'wrong sums' });
    const { body } = await enrol();
    expect(body.code).toBe('FORBIDDEN');
    expect(body.detail).toContain('wrong sums');
    expect((await api.act('runner.resume', address, { by: coordinator })).status).toBe(200);
    expect(await listed()).toBeNull();
    expect((await enrol()).status).toBe(200);
  });
});

test('anybody learns where the stack is entered, as its member signed it', async () => {
  const { body } = await api.get('/v1/stack');
  const { entrance } = body as unknown as { entrance: StackEntrance };
  expect(() => checkEntrance(entrance, api.parts.deployment, stack)).not.toThrow();
});

describe('artifacts', () => {
  test('are uploaded and downloaded past the API by runners and members', async () => {
    const data = Buffer.from('an update');
    const upload = { sha256: sha256Hex(data), size: data.length };
    const { body } = await api.post('/v1/uploads', upload, { by: runner });
    expect((await fetch(body.url, { method: 'PUT', headers: body.headers, body: data })).status).toBe(200);
    expect((await api.post('/v1/uploads', upload)).body).toEqual({
      url: null,
      headers: {},
      upload: null,
    });

    const path = `/v1/artifacts/${upload.sha256}`;
    const answer = await api.app.request(path, { headers: await signedHeaders('GET', path, '', {}) });
    expect(answer.status).toBe(307);
    expect(await (await fetch(String(answer.headers.get('location')))).text()).toBe('an update');
    expect((await api.get(path)).body.code).toBe('NOT_SIGNED');
    expect((await api.post('/v1/uploads', upload, { by: stranger })).body.code).toBe('FORBIDDEN');
    const missing = `/v1/artifacts/${hashOf('none')}`;
    expect((await api.get(missing, await signedHeaders('GET', missing, '', {}))).body.code).toBe('NOT_FOUND');
  });

  test('are at most 5 GiB', async () => {
    const { body } = await api.post('/v1/uploads', { sha256: hashOf('big'), size: 6 * 1024 ** 3 });
    expect(body).toMatchObject({ code: 'INVALID_INPUT', mistakes: [{ path: 'size' }] });
  });
});

test('versions, epochs and credits are read', async () => {
  await api.parts.table.putVersion(exampleVersion(0));
  const { versionId } = exampleVersion(0).model;
  expect((await api.get('/v1/versions?lineage=digits')).body.items).toEqual([exampleVersion(0)]);
  expect((await api.get(`/v1/versions/${versionId}`)).body).toEqual(exampleVersion(0));
  expect((await api.get(`/v1/versions/${hashOf('none')}`)).body.code).toBe('NOT_FOUND');
  await api.parts.table.credit({
    type: 'credit',
    payer: stack,
    job: hashOf('job'),
    round: 1,
    runner: runner.address.toLowerCase() as Hex,
    units: '1',
    amount: '2',
    manifestHash: hashOf('manifest'),
  });
  expect((await api.get('/v1/credits')).body.items).toHaveLength(1);
  expect((await api.get('/v1/earnings')).body.items).toMatchObject([{ amount: '2', credits: 1 }]);
  expect((await api.get('/v1/epochs')).body).toEqual({ items: [] });
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
  await api.stopChain();
  const alone = apiApp(openApiParts(openLog('test'), noTelemetry));
  const body = JSON.stringify({ key: 'without-chain', spec: api.spec });
  const headers = await signedHeaders('POST', '/v1/jobs', body, {});
  const answer = await alone.request('/v1/jobs', { method: 'POST', headers, body });
  expect(answer.status).toBe(503);
  expect((await alone.request('/v1/jobs')).status).toBe(200);
});
