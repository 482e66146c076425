import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apiApp } from '#functions/api/app.js';
import { limitSettings, openLimits } from '#functions/limits.js';
import { webhookApp } from '#functions/webhook/app.js';
import { hashOf } from '../services/views.js';
import {
  coordinator,
  member,
  runner,
  signedHeaders,
  startApi,
  stranger,
  type Signing,
  type TestApi,
  enrolmentOf,
} from '../functions/testApi.js';

/** What the node server knows of a connection. */
const from = (remoteAddress: string) => ({ incoming: { socket: { remoteAddress } } });

/** Requests to a stack's API and webhooks by people who mean it harm; the stores and the chain are real. */
let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await api.post('/v1/triggers', { name: 'turned', kind: 'github', spec: api.spec });
}, 60_000);
afterAll(() => api.stop());

/** A command that is done once for each signature. Acts, which carry theirs in the body, are in acts.test.ts. */
const rotate = '/v1/triggers/turned/rotate';

const enrolment = { name: 'ward-1', software: 'runner', machine: 'one core', data: [] };

describe('somebody who may not', () => {
  test.each<[string, string, unknown, Signing, string]>([
    ['submits a job without being a member', '/v1/jobs', 'job', { by: stranger }, 'FORBIDDEN'],
    ['submits a job as a runner', '/v1/jobs', 'job', { by: runner }, 'FORBIDDEN'],
    [
      'submits a job in a member’s name',
      '/v1/jobs',
      'job',
      { by: stranger, as: member.address },
      'BAD_SIGNATURE',
    ],
    ['sets up a trigger as a runner', '/v1/triggers', 'trigger', { by: runner }, 'FORBIDDEN'],
    ['enrols a runner that is not on chain', '/v1/runners/enrol', enrolment, { by: stranger }, 'FORBIDDEN'],
    [
      'enrols another’s runner with a signature of his own',
      '/v1/runners/enrol',
      enrolment,
      { by: stranger, as: runner.address },
      'BAD_SIGNATURE',
    ],
    [
      'enrols a runner with the statement it signed for another stack',
      '/v1/runners/enrol',
      enrolment,
      { by: runner, audience: stranger.address },
      'BAD_SIGNATURE',
    ],
    [
      'uses a signature of one path at another',
      '/v1/runners/enrol',
      enrolment,
      { by: runner, signedPath: '/v1/runners/seen' },
      'BAD_SIGNATURE',
    ],
    [
      'replays an enrolment of yesterday',
      '/v1/runners/enrol',
      enrolment,
      { by: runner, at: Math.floor(Date.now() / 1_000) - 86_400 },
      'TOO_OLD',
    ],
    [
      'changes the body of a signed request',
      '/v1/runners/enrol',
      enrolment,
      { by: runner, signedBody: JSON.stringify({ ...enrolment, name: 'ward-2' }) },
      'BAD_SIGNATURE',
    ],
  ])('%s', async (_, path, message, how, code) => {
    const written =
      message === 'job'
        ? { key: 'a key of mine', spec: api.spec }
        : message === 'trigger'
          ? { name: 'evil', kind: 'github', spec: api.spec }
          : message;
    expect((await api.post(path, written, how)).body.code).toBe(code);
  });

  test('repeats a member’s signed command', async () => {
    const headers = await signedHeaders('POST', rotate, '{}', {});
    const send = () => api.app.request(rotate, { method: 'POST', headers, body: '{}' });
    expect((await send()).status).toBe(200);
    const again = await send();
    expect([again.status, ((await again.json()) as { code: string }).code]).toEqual([409, 'CONFLICT']);
  });

  test('uses a signature’s malleable twin to repeat it', async () => {
    const { authorization = '' } = await signedHeaders('POST', rotate, '{}', {});
    const [head = '', signature = ''] = authorization.split('signature=');
    const answer = await api.app.request(rotate, {
      method: 'POST',
      headers: { authorization: `${head}signature=${twinOf(signature)}` },
      body: '{}',
    });
    expect(answer.status).toBe(401);
  });
});

/** The other signature that the curve admits for the same text. */
function twinOf(signature: string): string {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = order - BigInt(`0x${signature.slice(66, 130)}`);
  return `${signature.slice(0, 66)}${s.toString(16).padStart(64, '0')}${signature.endsWith('1b') ? '1c' : '1b'}`;
}

const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels);

describe('a body that was made to do harm', () => {
  test.each<[string, string]>([
    ['nests a hundred thousand lists', deep('[', ']', 100_000)],
    ['nests a hundred thousand objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    [
      'has a hundred thousand wrong keys',
      JSON.stringify(Object.fromEntries(Array.from({ length: 80_000 }, (_, i) => [`k${i}`, 0]))),
    ],
    ['sets the prototype', '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'],
    ['is no UTF-8', '\ud800'],
    ['is empty', ''],
  ])('%s', async (_, body) => {
    const answer = await api.post('/v1/jobs', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'INVALID_INPUT']);
    expect(JSON.stringify(answer.body).length).toBeLessThan(50_000);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('is larger than a megabyte, whatever its header says', async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const init = { method: 'POST', body, duplex: 'half', headers: { 'content-length': '2' } };
    const answer = await api.app.request('/v1/jobs', init as RequestInit);
    expect(answer.status).toBe(413);
  });
});

describe('a name that would leave its folder', () => {
  const names = [
    '../../etc/passwd',
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e',
    'a/../../b',
    '..\\..\\x',
    'a%00b',
    '.',
  ];
  test.each(names)('%s is no job, no trigger, no artifact, no version and no lineage', async (name) => {
    const paths = [`/v1/jobs/${name}`, `/v1/jobs/${name}/rounds`, `/v1/versions/${name}`];
    for (const path of [...paths, `/v1/versions?lineage=${name}`]) {
      const { status } = await api.app.request(path);
      expect([400, 404]).toContain(status);
    }
    const path = `/v1/artifacts/${name}`;
    const answer = await api.app.request(path, {
      headers: await signedHeaders('GET', new URL(path, 'http://x').pathname, '', {}),
    });
    expect([400, 404]).toContain(answer.status);
  });

  test.each(['../x', 'a/b', 'A', 'a'.repeat(64), '', '__proto__', 'a\nb', 'a\u0000'])(
    '%j is no name of a runner, a data set, a trigger or a job',
    async (name) => {
      const refused = { status: 400 };
      const enrolment = await enrolmentOf(api.parts.deployment);
      const data = [{ name, samples: 1, input: [1], classes: 2 }];
      for (const written of [
        { ...enrolment, name },
        { ...enrolment, data },
      ])
        expect(await api.post('/v1/runners/enrol', written, { by: runner })).toMatchObject(refused);
      expect(await api.post('/v1/triggers', { name, kind: 'github', spec: api.spec })).toMatchObject(refused);
      const spec = { ...api.spec, name };
      expect(await api.post('/v1/jobs', { key: 'path traversal', spec })).toMatchObject(refused);
    },
  );
});

const limited = (changes: Record<string, number>) => {
  const limits = openLimits(api.parts.table, limitSettings.parse(changes));
  const app = apiApp({ ...api.parts, limits });
  return async (path: string, message: unknown, by = member, env = {}) => {
    const body = JSON.stringify(message);
    const headers = await signedHeaders('POST', path, body, { by });
    return app.request(path, { method: 'POST', headers, body }, env);
  };
};

describe('too much of it', () => {
  const seen = { state: 'idle', progress: null };

  test('one signer asks more often than it may: 429, and when to come back; others are served', async () => {
    const post = limited({ signerPerMinute: 3 });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await post('/v1/runners/seen', seen, runner)).status);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(2);
    const refused = await post('/v1/runners/seen', seen, runner);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await post('/v1/uploads', { sha256: hashOf('a'), size: 1 }, member)).status).toBe(200);
  });

  test('one address asks without a signature: refused before any is checked, whatever its headers claim', async () => {
    const limits = openLimits(api.parts.table, limitSettings.parse({ addressPerMinute: 2 }));
    const app = apiApp({ ...api.parts, limits });
    const ask = async (address: string) =>
      (await app.request('/v1/jobs', { headers: { 'x-forwarded-for': `${Math.random()}` } }, from(address)))
        .status;
    expect([await ask('203.0.113.1'), await ask('203.0.113.1'), await ask('203.0.113.1')]).toEqual([
      200, 200, 429,
    ]);
    expect(await ask('203.0.113.2')).toBe(200);
    const lambda = { event: { requestContext: { http: { sourceIp: '203.0.113.1' } } } };
    expect((await app.request('/v1/jobs', {}, lambda)).status).toBe(429);
  });

  test('one member queues more jobs than it may in an hour; repeating one is free, and so are others’', async () => {
    const post = limited({ jobsPerHour: 2 });
    const submit = async (key: string, by: typeof member) =>
      (await post('/v1/jobs', { key, spec: api.spec }, by)).status;
    // The hour's count is in the table, for all processes: another member than the one of the tests above.
    const first = await submit('quota number one', coordinator);
    expect([first, await submit('quota number two', coordinator)]).toEqual([202, 202]);
    expect(await submit('quota number three', coordinator)).toBe(429);
    expect(await submit('quota number one', coordinator)).toBe(202);
    const elsewhere = limited({ jobsPerHour: 2 });
    expect(
      (await elsewhere('/v1/jobs', { key: 'another process', spec: api.spec }, coordinator)).status,
    ).toBe(429);
  });

  test('one runner asks for more upload URLs than its bytes a day', async () => {
    const post = limited({ uploadBytesPerDay: 1_000 });
    const upload = async (name: string, size: number) =>
      (await post('/v1/uploads', { sha256: hashOf(name), size }, runner)).status;
    expect(await upload('one', 600)).toBe(200);
    expect(await upload('two', 600)).toBe(429);
    expect(await upload('three', 400)).toBe(200);
    expect(await upload('four', 5 * 1024 ** 3)).toBe(429);
  });

  test('one member enrols more runners than it may in an hour', async () => {
    const post = limited({ enrolmentsPerHour: 1 });
    const enrol = async () =>
      (await post('/v1/runners/enrol', await enrolmentOf(api.parts.deployment), runner)).status;
    expect(await enrol()).toBe(200);
    expect(await enrol()).toBe(429);
  });

  test('old deliveries of a trigger are repeated without end: a new one still gets through', async () => {
    const secret = 'a secret between us';
    await api.parts.table.createTrigger(
      {
        seq: 0,
        updatedAt: new Date().toISOString(),
        name: 'flooded',
        kind: 'github',
        events: ['push'],
        refs: [],
        spec: api.spec,
        createdAt: new Date().toISOString(),
        secrets: 1,
      },
      [secret],
    );
    const limits = openLimits(api.parts.table, limitSettings.parse({ triggerPerMinute: 2 }));
    const app = webhookApp({ ...api.parts, limits });
    const deliver = async (after: string) => {
      const body = JSON.stringify({ ref: 'refs/heads/main', after });
      const headers = {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      };
      return (await app.request('/webhooks/flooded', { method: 'POST', headers, body })).status;
    };
    expect(await deliver('first')).toBe(202);
    for (let i = 0; i < 50; i++) expect(await deliver('first')).toBe(202);
    expect(await deliver('second')).toBe(202);
    expect(await deliver('third')).toBe(429);
  });
});
