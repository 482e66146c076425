import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exampleJob, exampleRound, hashOf } from '../services/views.js';
import { coordinator, runner, stack, startApi, type TestApi } from './testApi.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api.stop());

const submission = (key: string, changes: object = {}) => ({ key, spec: { ...api.spec, ...changes } });

describe('submitting a job', () => {
  test('queues it once for each key, and refuses the key for another job', async () => {
    const first = await api.post('/v1/jobs', submission('key-of-job-1'));
    expect(first).toMatchObject({ status: 202, body: { repeated: false } });
    const { job } = first.body;
    expect(await api.post('/v1/jobs', submission('key-of-job-1'))).toEqual({
      status: 202,
      body: { job, repeated: true },
    });
    expect((await api.post('/v1/jobs', submission('key-of-job-1', { rounds: 3 }))).body.code).toBe(
      'CONFLICT',
    );
    expect((await api.post('/v1/jobs', submission('key-of-job-1'), { by: coordinator })).body.job).not.toBe(
      job,
    );
    const view = (await api.get(`/v1/jobs/${job}`)).body;
    expect(view).toEqual(
      exampleJob({
        job,
        trigger: 'submit',
        spec: api.spec,
        coordinator: stack,
        createdAt: view.createdAt,
        updatedAt: view.updatedAt,
      }),
    );
  });

  test('lists every mistake of the message with its path', async () => {
    const { status, body } = await api.post('/v1/jobs', {
      key: 'short',
      spec: { ...api.spec, rounds: 0, extra: 1 },
    });
    expect(status).toBe(400);
    expect(body.code).toBe('INVALID_INPUT');
    expect(body.mistakes.map(({ path }) => path).sort()).toEqual(['key', 'spec', 'spec.rounds']);
  });

  test('lists every reason why the spec cannot be run', async () => {
    const bad = submission('bad-spec-key', {
      model: { sha256: hashOf('no model') },
      evaluation: { sha256: hashOf('no evaluation') },
      participants: { ...api.spec.participants, quorum: 9, most: 4 },
    });
    const { status, body } = await api.post('/v1/jobs', bad);
    expect([status, body.code]).toEqual([422, 'JOB_INVALID']);
    expect(body.mistakes.map(({ path }) => path)).toEqual([
      'model.sha256',
      'evaluation.sha256',
      'participants.quorum',
    ]);
    expect(body.detail).toContain('model.sha256');
  });
});

describe('a job that another member began', () => {
  test('is gone on with once, by a stack that can read its updates', async () => {
    const job = hashOf('abandoned');
    const path = `/v1/jobs/${job}/take-over`;
    expect(await api.post(path, { spec: api.spec })).toMatchObject({
      status: 202,
      body: { job, repeated: false },
    });
    expect((await api.post(path, { spec: api.spec })).body).toEqual({ job, repeated: true });
    expect((await api.get(`/v1/jobs/${job}`)).body).toMatchObject({
      state: 'queued',
      trigger: 'take over',
      coordinator: stack,
      spec: api.spec,
    });
    const closed = {
      ...api.spec,
      updates: { recipients: [{ member: runner.address.toLowerCase(), publicKey: `0x${'5e'.repeat(32)}` }] },
    };
    const refused = await api.post(`/v1/jobs/${hashOf('unreadable')}/take-over`, { spec: closed });
    expect([refused.status, refused.body.code]).toEqual([422, 'JOB_INVALID']);
    const own = (await api.post('/v1/jobs', submission('its-own-job'))).body.job;
    const conflict = await api.post(`/v1/jobs/${own}/take-over`, { spec: api.spec });
    expect(conflict.body.code).toBe('CONFLICT');
  });
});

describe('a job', () => {
  test('that is unknown is NOT_FOUND', async () => {
    for (const path of [`/v1/jobs/${hashOf('none')}`, `/v1/jobs/${hashOf('none')}/rounds`, '/v1/nothing'])
      expect((await api.get(path)).body).toMatchObject({ code: 'NOT_FOUND', status: 404 });
    expect((await api.get('/v1/jobs/0x00')).body).toMatchObject({
      code: 'INVALID_INPUT',
      mistakes: [{ path: 'job' }],
    });
  });

  test('gives only the rounds behind a number to those who have the others', async () => {
    const { job } = (await api.post('/v1/jobs', submission('rounds-in-pieces'))).body;
    for (const round of [1, 2, 3]) await api.parts.table.projectRound(exampleRound({ job, round }));
    const { body } = await api.get(`/v1/jobs/${job}/rounds?after=1`);
    expect(body.items.map(({ round }) => round)).toEqual([2, 3]);
    expect((await api.get(`/v1/jobs/${job}/rounds?after=-1`)).body.code).toBe('INVALID_INPUT');
  });

  test('are asked for in pages from the newest, and in samples of the whole job', async () => {
    const job = hashOf('a long job');
    await api.parts.table.createJob(exampleJob({ job, state: 'running', round: 250 }));
    for (let round = 1; round <= 250; round++)
      await api.parts.table.projectRound(exampleRound({ job, round }));
    const numbers = async (query: string) =>
      (await api.get(`/v1/jobs/${job}/rounds?${query}`)).body.items.map(({ round }) => round);
    expect(await numbers('newest=3')).toEqual([248, 249, 250]);
    expect(await numbers('newest=2&before=10')).toEqual([8, 9]);
    expect(await numbers('newest=5&before=3')).toEqual([1, 2]);
    expect(await numbers('after=248')).toEqual([249, 250]);
    expect(await numbers('before=1')).toEqual([]);
    expect(await numbers('every=100')).toEqual([100, 200]);
    expect(await numbers('every=1')).toHaveLength(250);
    await api.parts.table.projectJob(exampleJob({ job, seq: 9, state: 'running', round: 501 }));
    expect((await api.get(`/v1/jobs/${job}/rounds?every=1`)).body.code).toBe('INVALID_INPUT');
  });

  test('is answered without a body as long as it is what the asker has', async () => {
    const { job } = (await api.post('/v1/jobs', submission('with-a-tag'))).body;
    const first = await api.app.request(`/v1/jobs/${job}`);
    const tag = first.headers.get('etag') ?? '';
    const headers = { 'if-none-match': tag };
    const again = await api.app.request(`/v1/jobs/${job}`, { headers });
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', tag]);
    const queued = await api.parts.table.getJob(job);
    await api.parts.table.projectJob(exampleJob({ ...queued, seq: 1, state: 'running' }));
    const changed = await api.app.request(`/v1/jobs/${job}`, { headers });
    expect(changed.status).toBe(200);
    expect(changed.headers.get('etag')).not.toBe(tag);
    expect(await changed.json()).toMatchObject({ state: 'running' });
  });

  test('has its rounds', async () => {
    const { job } = (await api.post('/v1/jobs', submission('with-rounds'))).body;
    for (const round of [2, 1]) await api.parts.table.projectRound(exampleRound({ job, round }));
    const { body } = await api.get(`/v1/jobs/${job}/rounds`);
    expect(body.items.map(({ round }) => round)).toEqual([1, 2]);
  });

  test('is listed newest first, as many as asked for', async () => {
    expect((await api.get('/v1/jobs?limit=2')).body.items).toHaveLength(2);
    expect((await api.get('/v1/jobs?limit=0')).body.code).toBe('INVALID_INPUT');
    expect((await api.get('/v1/jobs?limits=1')).body.code).toBe('INVALID_INPUT');
  });
});

const request = (name: string, kind = 'github') => ({ name, kind, spec: api.spec });

describe('dead letters', () => {
  test('are seen by anybody with their reason', async () => {
    const { queues } = api.parts;
    await queues.jobs.bury({ body: '{"type":"job"}', deliveries: 5 }, { code: 'NOT_FOUND', reason: 'a\nb' });
    expect((await api.get('/v1/queues')).body.items).toMatchObject([
      { queue: 'jobs', dead: 1, letters: [{ code: 'NOT_FOUND', deliveries: 5, reason: 'a b' }] },
      { queue: 'credits', dead: 0, letters: [] },
    ]);
  });
});

describe('triggers', () => {
  test('show their secret once', async () => {
    const { status, body } = await api.post('/v1/triggers', request('nightly'));
    expect(status).toBe(201);
    expect(body.trigger).toMatchObject({ name: 'nightly', events: ['push'], refs: [], secrets: 1 });
    expect(body.secret).toMatch(/^[\w-]{43}$/);
    expect((await api.post('/v1/triggers', request('nightly'))).body.code).toBe('CONFLICT');
    expect((await api.post('/v1/triggers', request('calls', 'standard'))).body.secret).toMatch(
      /^whsec_[\w+/]{43}=$/,
    );
    const listed = (await api.get('/v1/triggers')).body.items;
    expect(listed.map(({ name }) => name)).toEqual(['calls', 'nightly']);
    expect(JSON.stringify(listed)).not.toContain(body.secret);
  });

  test('keep the secret before until the next rotation', async () => {
    const first = (await api.post('/v1/triggers', request('rotated'))).body.secret;
    const rotate = async () =>
      (await api.post('/v1/triggers/rotated/rotate', undefined, { at: rotations++ })).body;
    let rotations = Math.floor(Date.now() / 1_000) - 10;
    const second = await rotate();
    expect(second.trigger).toMatchObject({ secrets: 2, seq: 1 });
    expect((await api.parts.table.getTrigger('rotated'))?.secrets).toEqual([second.secret, first]);
    const third = await rotate();
    expect((await api.parts.table.getTrigger('rotated'))?.secrets).toEqual([third.secret, second.secret]);
    expect((await api.post('/v1/triggers/nothing/rotate', undefined)).body.code).toBe('UNKNOWN_TRIGGER');
  });

  test('are stopped: every secret of before is gone, and a rotation gives the only one', async () => {
    await api.post('/v1/triggers', request('leaked'));
    const stopped = (await api.post('/v1/triggers/leaked/stop', undefined)).body;
    expect(stopped.trigger).toMatchObject({ name: 'leaked', secrets: 0, seq: 1 });
    expect((await api.parts.table.getTrigger('leaked'))?.secrets).toEqual([]);
    const { secret } = (await api.post('/v1/triggers/leaked/rotate', undefined)).body;
    expect((await api.parts.table.getTrigger('leaked'))?.secrets).toEqual([secret]);
    expect((await api.post('/v1/triggers/nothing/stop', undefined)).body.code).toBe('UNKNOWN_TRIGGER');
    expect((await api.post('/v1/triggers/leaked/stop', undefined, { by: runner })).body.code).toBe(
      'FORBIDDEN',
    );
  });

  test('are set up only by members, for jobs that can be run', async () => {
    expect((await api.post('/v1/triggers', request('by-runner'), { by: runner })).body.code).toBe(
      'FORBIDDEN',
    );
    const bad = { ...request('bad'), spec: { ...api.spec, model: { sha256: hashOf('no model') } } };
    expect((await api.post('/v1/triggers', bad)).body.code).toBe('JOB_INVALID');
  });
});
