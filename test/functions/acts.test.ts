import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { brokenActRecord } from '#core/actLog.js';
import type { ActRecord } from '#core/acts.js';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { RunnerView } from '#core/views.js';
import { apiApp } from '#functions/api/app.js';
import { localProvider, sendCall } from '#local/consortium/contracts.js';
import { RoundtableError } from '#core/errors.js';
import { actSigner, isActSigned } from '#services/acts.js';
import { sha256 } from '#services/sha256.js';
import { placeContractAccount } from '../support/contractAccount.js';
import { exampleJob, hashOf } from '../services/views.js';
import {
  actOf,
  coordinator,
  enrolmentOf,
  member,
  runner,
  secondRunner,
  stack,
  stackUrl,
  startApi,
  stranger,
  type ActSigning,
  type TestApi,
} from './testApi.js';

let api: TestApi;
let job: Hex;
const address = runner.address.toLowerCase() as Hex;

beforeAll(async () => {
  api = await startApi();
  job = (await api.post('/v1/jobs', { key: 'acted-upon', spec: api.spec })).body.job;
  await api.post('/v1/runners/enrol', await enrolmentOf(api.parts.deployment), { by: runner });
}, 60_000);
afterAll(() => api.stop());

const rpcUrl = () => String(process.env['CHAIN_RPC_URLS']);

const log = async (after = 0) =>
  (await api.get(`/v1/acts?after=${after}`)).body.items as unknown as ActRecord[];

describe('a member', () => {
  test('pauses, resumes and cancels a job', async () => {
    api.signals.length = 0;
    for (const name of ['pause', 'resume', 'cancel'])
      expect(await api.act(`job.${name}`, job)).toMatchObject({ status: 200 });
    expect(api.signals).toEqual([`pause ${job}`, `resume ${job}`, `cancel ${job}`]);
  });

  test('cannot tell a job anything that has ended, or that is unknown', async () => {
    const { job: ended } = (await api.post('/v1/jobs', { key: 'ended-by-itself', spec: api.spec })).body;
    await api.parts.table.projectJob({
      ...exampleJob({ job: ended, spec: api.spec }),
      seq: 1,
      state: 'done',
    });
    expect((await api.act('job.cancel', ended)).body.code).toBe('CONFLICT');
    expect((await api.act('job.cancel', hashOf('none'))).body.code).toBe('NOT_FOUND');
    expect((await api.act('job.cancel', 'that one')).body.code).toBe('INVALID_INPUT');
    expect((await api.act('job.delete', job)).body.code).toBe('INVALID_INPUT');
  });

  test('puts dead letters back, once for each signature', async () => {
    await api.parts.queues.jobs.bury({ body: '{}', deliveries: 5 }, { code: 'NOT_FOUND', reason: 'gone' });
    const act = JSON.stringify(await actOf(api.parts.deployment, 'queue.redrive', 'jobs'));
    const send = () => api.app.request('/v1/acts', { method: 'POST', body: act });
    expect(await (await send()).json()).toMatchObject({ outcome: '1 messages were put back' });
    expect(await (await send()).json()).toMatchObject({ code: 'CONFLICT' });
    expect((await api.act('queue.redrive', 'others')).body.code).toBe('INVALID_INPUT');
  });
});

describe('draining', () => {
  const drain = async () =>
    ((await api.get('/v1/runners')).body.items as unknown as RunnerView[]).find(
      (view) => view.runner === address,
    )?.drain;

  test.each<[string, NonNullable<ActSigning['by']>, string]>([
    ['the runner itself', runner, address],
    ['its member', member, member.address.toLowerCase()],
    ['the stack’s member', coordinator, stack],
  ])('is for %s, shows who did it and why, and survives an enrolment', async (_, by, who) => {
    expect((await api.act('runner.drain', address, { by, reason: 'a new disk' })).status).toBe(200);
    expect(await drain()).toMatchObject({ by: who, reason: 'a new disk' });
    await api.post('/v1/runners/enrol', await enrolmentOf(api.parts.deployment), { by: runner });
    expect(await drain()).toMatchObject({ by: who });
    expect((await api.act('runner.undrain', address, { by })).status).toBe(200);
    expect(await drain()).toBeNull();
  });

  test('is nobody else’s, and an unknown runner is NOT_FOUND', async () => {
    for (const by of [secondRunner, stranger])
      expect((await api.act('runner.drain', address, { by })).body.code).toBe('FORBIDDEN');
    expect((await api.act('runner.drain', stack)).body.code).toBe('NOT_FOUND');
  });
});

describe('an act is refused', () => {
  const now = Math.floor(Date.now() / 1_000);
  test.each<[string, ActSigning, string]>([
    ['of a stranger', { by: stranger }, 'FORBIDDEN'],
    ['of a runner, which tells jobs nothing', { by: runner }, 'FORBIDDEN'],
    ['in another’s name', { by: stranger, as: member.address }, 'BAD_SIGNATURE'],
    ['of another chain', { domain: { chainId: 1 } }, 'BAD_SIGNATURE'],
    ['of another consortium', { domain: { verifyingContract: `0x${'ab'.repeat(20)}` } }, 'BAD_SIGNATURE'],
    ['that is another kind of statement', { domain: { name: 'Roundtable entry' } }, 'BAD_SIGNATURE'],
    ['for another stack', { signed: { stack: member.address.toLowerCase() as Hex } }, 'FORBIDDEN'],
    ['for another URL', { signed: { url: 'http://evil.example' } }, 'FORBIDDEN'],
    ['whose action was changed', { sent: { action: 'job.cancel' } }, 'BAD_SIGNATURE'],
    ['whose target was changed', { sent: { target: hashOf('another job') } }, 'BAD_SIGNATURE'],
    ['whose reason was changed', { sent: { reason: 'another reason' } }, 'BAD_SIGNATURE'],
    ['whose nonce was changed', { sent: { nonce: hashOf('another nonce') } }, 'BAD_SIGNATURE'],
    ['whose end was moved', { sent: { expiry: now + 500 } }, 'BAD_SIGNATURE'],
    ['that has expired', { signed: { issued: now - 130, expiry: now - 10 } }, 'TOO_OLD'],
    ['that would be good for a day', { signed: { expiry: now + 86_400 } }, 'TOO_OLD'],
    ['of the future', { signed: { issued: now + 3_600, expiry: now + 3_700 } }, 'TOO_OLD'],
  ])('%s', async (_, how, code) => {
    const before = (await log()).length;
    api.signals.length = 0;
    expect((await api.act('job.pause', job, how)).body.code).toBe(code);
    expect(api.signals).toEqual([]);
    expect(await log()).toHaveLength(before);
  });
});

describe('a contract account that is a member', () => {
  const account = Wallet.createRandom().address.toLowerCase() as Hex;
  const [owner, former] = [Wallet.createRandom(), Wallet.createRandom()];

  beforeAll(async () => {
    const provider = localProvider(rpcUrl());
    const { consortium } = api.parts.deployment;
    const { call } = typedContract(consortiumAbi, consortium, provider);
    await sendCall(new Wallet(coordinator.privateKey), provider, call.addMember(account, 'safe', ''));
    provider.destroy();
    await placeContractAccount(rpcUrl(), account, owner.address as Hex);
  });

  test('acts by its own word, however long its signature is, and is in the log with it', async () => {
    const signed = await actOf(api.parts.deployment, 'job.pause', job, { by: owner, as: account });
    const { signature } = signed as { signature: string };
    const longer = { ...signed, signature: `${signature}${'ab'.repeat(200)}` };
    const answer = await api.app.request('/v1/acts', { method: 'POST', body: JSON.stringify(longer) });
    expect([answer.status, await answer.json()]).toMatchObject([200, { outcome: expect.any(String) }]);
    const admitted = (await log()).findLast(({ entry }) => entry.kind === 'admitted')?.entry;
    if (admitted?.kind !== 'admitted') throw new Error('the act is not in the log');
    expect(actSigner(api.parts.deployment, admitted)).not.toBe(account);
    const { deployment, membership } = api.parts;
    expect(await isActSigned(deployment, admitted, membership)).toBe(true);
    const other = { ...admitted, statement: { ...admitted.statement, target: hashOf('another job') } };
    expect(await isActSigned(deployment, other, membership)).toBe(false);
  });

  test.each<[string, ActSigning, string]>([
    ['a key that it does not know', { by: former, as: account }, 'BAD_SIGNATURE'],
    [
      'its owner, for another target',
      { by: owner, as: account, sent: { target: hashOf('x') } },
      'BAD_SIGNATURE',
    ],
    ['its owner, in the name of an account without code', { by: owner, as: member.address }, 'BAD_SIGNATURE'],
  ])('is not spoken for by %s', async (_, how, code) => {
    const answer = await api.act('job.pause', job, how);
    expect(answer.body.code).toBe(code);
    expect(answer.body.detail).toContain('ERC-1271');
  });
});

describe('the log', () => {
  test('has every act with its signature and what came of it, and is a chain of hashes', async () => {
    const before = (await log()).at(-1)?.seq ?? 0;
    await api.act('job.pause', job, { reason: 'to look at it' });
    const [admitted, done] = await log(before);
    expect(admitted).toMatchObject({
      seq: before + 1,
      entry: { kind: 'admitted', role: 'member', statement: { url: stackUrl, reason: 'to look at it' } },
    });
    expect(done?.entry).toMatchObject({ kind: 'done', act: before + 1 });
    const all = await log();
    expect(brokenActRecord(sha256, all)).toBeNull();
    for (const { entry } of all)
      if (entry.kind === 'admitted')
        expect(await isActSigned(api.parts.deployment, entry, api.parts.membership)).toBe(true);
  });

  test('left out, changed or swapped, a record is noticed', async () => {
    const all = await log();
    const [first, second, third, ...rest] = all;
    if (!first || !second || !third) throw new Error('too few acts');
    expect(brokenActRecord(sha256, [first, third, ...rest])).toBe(2);
    expect(brokenActRecord(sha256, [first, third, second, ...rest])).toBe(2);
    const changed = { ...second, at: first.at, entry: { kind: 'done' as const, act: 1, outcome: 'nothing' } };
    expect(brokenActRecord(sha256, [first, changed, third, ...rest])).toBe(2);
  });

  test('says of an act that could not be carried out why not', async () => {
    const failing = apiApp({
      ...api.parts,
      temporal: { signalJob: () => Promise.reject(new RoundtableError('UNAVAILABLE', 'Temporal is away.')) },
    });
    const body = JSON.stringify(await actOf(api.parts.deployment, 'job.resume', job));
    expect((await failing.request('/v1/acts', { method: 'POST', body })).status).toBe(503);
    expect((await log()).at(-1)?.entry).toMatchObject({ kind: 'failed', code: 'UNAVAILABLE' });
  });

  test('keeps its order when many act at the same moment, and no nonce works twice', async () => {
    const same = JSON.stringify(await actOf(api.parts.deployment, 'job.pause', job));
    const others = await Promise.all(
      Array.from({ length: 6 }, async () =>
        JSON.stringify(await actOf(api.parts.deployment, 'job.resume', job)),
      ),
    );
    const answers = await Promise.all(
      [same, same, same, ...others].map((body) => api.app.request('/v1/acts', { method: 'POST', body })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(7).fill(200), 409, 409]);
    expect(brokenActRecord(sha256, await log())).toBeNull();
  });
});

describe('a page of another origin', () => {
  test('may read and send acts, without cookies and without an Authorization header', async () => {
    const preflight = await asking('POST', 'content-type');
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-methods')).toBe('GET,POST');
    expect(preflight.headers.get('access-control-allow-headers')).not.toContain('authorization');
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    for (const path of ['/v1/jobs', '/v1/nothing', '/health']) {
      const answer = await api.app.request(path, { headers: { origin: 'https://page.example' } });
      expect([path, answer.headers.get('access-control-allow-origin')]).toEqual([path, '*']);
      expect(answer.headers.get('access-control-expose-headers')).toContain('etag');
    }
  });
});

const asking = (method: string, headers: string) =>
  api.app.request('/v1/acts', {
    method: 'OPTIONS',
    headers: {
      origin: 'https://page.example',
      'access-control-request-method': method,
      'access-control-request-headers': headers,
    },
  });
