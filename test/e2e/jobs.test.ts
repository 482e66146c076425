import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Interface, Wallet, type InterfaceAbi } from 'ethers';
import { auditVersion } from '#audit/audit.js';
import { openApi, type Api } from '#cli/api.js';
import { openPublicRecord, sealingKeys, unsealWith } from '#cli/model/sources.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { hashJson } from '#core/canonicalJson.js';
import type { JobSpec } from '#core/jobSpec.js';
import { authorizationHeader, requestText } from '#core/signedRequest.js';
import type { JobView } from '#core/views.js';
import { decodeVersion } from '#core/versionFile.js';
import { awsEnvironment } from '#local/environment.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readPorts } from '#local/supervisor/ports.js';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { openTable } from '#services/table.js';
import { tableName } from '#core/names.js';
import { sealedFor } from '#services/sealing.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { type } from '../cli/person.js';
import { few } from '../support/digits.js';
import { cnn, digitsSpec } from '../support/digitsJob.js';
import { listeningAddresses } from '../support/listening.js';
import { apiOf, untilEnded, untilEnrolled, untilSettled } from '../support/stackApi.js';
import { until } from '../support/until.js';
import { edited, linear } from '../trainer/models.js';

/** Jobs of every kind, one after the other, on one stack that they share. */
let state: string;
let stack: LocalStack;
let api: Api;
const jobs = new Interface(jobsAbi as unknown as InterfaceAbi);

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), 'roundtable-jobs-'));
  stack = await startStack({ stateDir: state, data: [{ name: 'digits', load: () => few(800) }] });
  api = apiOf(stack);
  await untilEnrolled(api, stack);
}, 120_000);
afterAll(async () => {
  await stack?.stop();
  rmSync(state, { recursive: true, force: true });
}, 60_000);

const specOfJob = (name: string, written: Record<string, unknown> = {}, model?: Uint8Array) =>
  digitsSpec(api, stack, { name, rounds: 2, ...written }, model);

async function run(spec: JobSpec): Promise<JobView> {
  const { job } = await api.submit({ key: `${spec.name}-submission`, spec });
  return untilEnded(api, job);
}

describe('jobs that run', () => {
  test('FedAvgM with FedProx, archived for the members only, verifies and opens for a member', async () => {
    const spec = await specOfJob('momentum', {
      training: { prox: 0.01, epochs: 2 },
      aggregation: { rule: 'fedavgm', rate: '1', momentum: '1/2' },
      archive: { encrypt: true },
      rewards: { budget: '1000' },
    });
    const view = await run(spec);
    expect(view).toMatchObject({ state: 'done', round: 2 });
    expect(view.version?.state).not.toBeNull();

    const record = openPublicRecord(stack.file);
    try {
      const sealed = await record.archive.get(view.archive?.model ?? '');
      expect(sealedFor(sealed)).toEqual(stack.file.members.map(({ address }) => address));
      const unseal = unsealWith(sealingKeys(stack.file));
      const plain = unseal?.(sealed, view.version?.params ?? '0x');
      expect(decodeVersion(plain ?? new Uint8Array()).params).toHaveLength(5_994);
      await untilSettled(api, view.job);
      const audit = await auditVersion(
        { ...record, hash: sha256, ...(unseal ? { unseal } : {}) },
        view.version?.versionId ?? '0x',
      );
      expect(audit.wrong).toBeNull();
      expect(audit.ok).toBe(true);
    } finally {
      record.chain.close();
    }
  }, 120_000);

  test('runners that seal first: nothing is shown before all are committed, and its versions verify', async () => {
    const view = await run(await specOfJob('sealed', { sealFirst: true, rewards: { budget: '1000' } }));
    expect(view).toMatchObject({ state: 'done', round: 2 });
    await untilSettled(api, view.job);
    const record = openPublicRecord(stack.file);
    try {
      const audit = await auditVersion({ ...record, hash: sha256 }, view.version?.versionId ?? '0x', {
        job: view.job,
      });
      expect(audit.wrong).toBeNull();
      const seals = audit.checks.filter(({ check, place }) => check === 'seals' && place.job === view.job);
      const all = `${stack.runners.length} opened, 0 not`;
      expect(seals.map(({ subject, ok, detail }) => [subject, ok, detail])).toEqual([
        ['round 1', true, all],
        ['round 2', true, all],
      ]);
    } finally {
      record.chain.close();
    }
  }, 120_000);

  test('a second job of the same name goes on from the newest version', async () => {
    const spec = await specOfJob('lineage', { rounds: 1 });
    const first = await run(spec);
    const { job } = await api.submit({ key: 'lineage-again', spec });
    await untilEnded(api, job);
    const versions = await api.versions('lineage');
    const numbers = versions.map(({ number }) => number);
    expect(Math.max(...numbers)).toBe(2);
    const second = await api.job(job);
    expect(versions.find(({ model }) => model.versionId === second.base?.versionId)).toMatchObject({
      number: 1,
    });
    expect(first.state).toBe('done');
  }, 120_000);

  test('closes its rounds with the signature of a drawn member, whose watcher recomputes them from its own reading', async () => {
    const { members, chain: place, gateway, runners } = stack.file;
    const [, harbour, river] = members;
    if (!harbour?.sealing || !river) throw new Error('There are no other members.');
    writeFileSync(join(state, 'consortium.json'), JSON.stringify(place.deployment));
    const leaving = new AbortController();
    const argv = ['watch', '--json', '--key', harbour.key, '--sealing-key', harbour.sealing];
    const read = ['--rpc', place.rpcUrl, '--gateway', gateway, '--deployment', 'consortium.json'];
    // In a folder without a stack: what it knows of the coordinator is on chain.
    const watching = type([...argv, ...read], { folder: state, signal: leaving.signal });
    const spec = await specOfJob('attested', {
      attesters: 1,
      auditors: [harbour.address, river.address],
      data: { contract: 'digits', input: [1, 28, 28], classes: 10, mostSamples: 150 },
    });
    const view = await run(spec);
    leaving.abort();
    const { out, err } = await watching;
    expect(view).toMatchObject({ state: 'done', round: 2 });
    const attested = out
      .split('\n')
      .filter((line) => line.includes('"attestation"'))
      .map((line) => JSON.parse(line) as { job: string; round: number; outcome: string });
    const signed = attested.filter(({ job, outcome }) => job === view.job && outcome === 'signed');
    expect([err, signed.map(({ round }) => round)]).toEqual(['', [1, 2]]);
    const { chain } = openPublicRecord(stack.file);
    try {
      const onChain = await chain.job(view.job);
      expect(onChain?.terms).toMatchObject({ attesters: 1, sampleCap: 150 });
      for (const { closing } of await chain.rounds(view.job)) {
        const sent = await chain.provider.getTransaction(closing?.transaction ?? '');
        expect(jobs.parseTransaction(sent ?? { data: '0x' })?.name).toBe('closeAttested');
      }
    } finally {
      chain.close();
    }
    // Each runner has a receipt for each round, of the coordinator's own hand.
    const name = `${view.job.slice(2)}-2.json`;
    for (const { home } of runners) {
      await until(() => existsSync(join(home, 'receipts', 'ended', name)), `${home} has its receipt`);
      const kept: unknown = JSON.parse(readFileSync(join(home, 'receipts', 'ended', name), 'utf8'));
      expect(kept).toMatchObject({
        outcome: 'kept',
        coordinator: stack.file.coordinator,
        signature: expect.stringMatching(/^0x[0-9a-f]{130}$/),
        opening: { selection: [{ maxSamples: 150 }] },
      });
    }
  }, 150_000);

  test('a job that is submitted twice under one key runs once', async () => {
    const spec = await specOfJob('twice', { rounds: 1 });
    const [one, other] = await Promise.all([
      api.submit({ key: 'the-same-key', spec }),
      api.submit({ key: 'the-same-key', spec }),
    ]);
    expect(one.job).toBe(other.job);
    expect([one.repeated, other.repeated].sort()).toEqual([false, true]);
    await untilEnded(api, one.job);
  }, 120_000);
});

describe('jobs that cannot run fail with a reason before anything is on chain', () => {
  const wrongModels: [string, string, () => Uint8Array][] = [
    ['is not ONNX', 'MODEL_NOT_ONNX', () => new TextEncoder().encode('this is a poem')],
    [
      'has external data',
      'MODEL_EXTERNAL_DATA',
      () =>
        edited(linear(), (model) => {
          for (const tensor of model.graph?.initializer ?? []) tensor.dataLocation = 1;
        }),
    ],
    [
      'has an operator that nobody knows',
      'MODEL_UNKNOWN_OPERATOR',
      () =>
        edited(new Uint8Array(cnn), (model) => {
          for (const node of model.graph?.node ?? []) if (node.opType === 'Relu') node.opType = 'Frobnicate';
        }),
    ],
    [
      'has no weights',
      'MODEL_NO_WEIGHTS',
      () =>
        edited(linear(), (model) => {
          if (!model.graph) return;
          model.graph.node = model.graph.node.slice(0, 1).map((node) => ({
            ...node,
            opType: 'Identity',
            input: node.input.slice(0, 1),
            attribute: [],
            output: model.graph?.output.map(({ name }) => name) ?? [],
          }));
          model.graph.initializer = [];
        }),
    ],
  ];

  test.each(wrongModels)(
    'the model %s: %s',
    async (what, code, model) => {
      const view = await run(
        await specOfJob(`wrong-${code.toLowerCase().replaceAll('_', '-')}`, {}, model()),
      );
      expect(view.state).toBe('failed');
      expect(view.problem?.code).toBe(code);
      expect(view.transactions).toEqual([]);
    },
    60_000,
  );

  test("the model's shapes do not meet the data", async () => {
    const view = await run(
      await specOfJob('wrong-shape', { data: { contract: 'digits', input: [3, 32, 32], classes: 10 } }),
    );
    expect(view).toMatchObject({ state: 'failed', problem: { code: 'MODEL_SHAPE_MISMATCH' } });
    expect(view.problem?.message).toContain('3, 32, 32');
  }, 60_000);

  test('nobody serves its data: it says who was missing and what to do', async () => {
    const spec = await specOfJob('no-data', {
      data: { contract: 'x-rays', input: [1, 28, 28], classes: 10 },
      participants: { quorum: 1, deadlineSeconds: 1 },
    });
    const view = await run(spec);
    expect(view).toMatchObject({ state: 'failed', problem: { code: 'NO_RUNNERS' } });
    expect(view.problem?.message).toContain('x-rays');
  }, 60_000);
});

describe('whoever has no right is refused', () => {
  test('a stranger submits no job', async () => {
    const key = join(state, 'stranger');
    writeFileSync(key, Wallet.createRandom().privateKey, { mode: 0o600 });
    const spec = await specOfJob('stranger', { rounds: 1 });
    const { api: url, coordinator } = stack.file;
    const strangers = openApi({ url, audience: coordinator, keyFile: key });
    await expect(strangers.submit({ key: 'by-a-stranger', spec })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('a key that is not registered on chain enrols no runner', async () => {
    const wallet = Wallet.createRandom();
    const body = JSON.stringify({
      name: 'stranger',
      software: 'none',
      machine: 'none',
      data: [{ name: 'digits', samples: 10, input: [1, 28, 28], classes: 10 }],
    });
    const timestamp = Math.floor(Date.now() / 1000);
    const signature = await wallet.signMessage(
      requestText({
        method: 'POST',
        path: '/v1/runners/enrol',
        bodyHash: sha256Hex(new TextEncoder().encode(body)),
        timestamp,
        audience: stack.file.coordinator,
      }),
    );
    const response = await fetch(`${stack.file.api}/v1/runners/enrol`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        authorization: authorizationHeader(wallet.address, timestamp, signature),
      },
    });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('a settlement', () => {
  test('stops, and pays nothing, when a credit says something else than the manifest', async () => {
    const spec = await specOfJob('forged-credit', { rounds: 1, rewards: { budget: '4000' } });
    const key = 'forged-credit-submission';
    const job = hashJson(sha256, ['submit', stack.file.coordinator, key]);
    const table = openTable({ table: tableName, client: dynamodb() });
    await table.credit({
      type: 'credit',
      payer: stack.file.coordinator,
      job,
      round: 1,
      runner: stack.runners[0]?.address ?? '0x',
      units: '1',
      amount: '4000',
      manifestHash: `0x${'1'.repeat(64)}`,
    });
    const epochs = (await api.epochs()).length;
    const view = await run(spec);
    expect(view.job).toBe(job);
    expect(view.state).toBe('done');
    const log = join(state, 'logs', 'worker.log');
    await until(
      async () => readFileSync(log, 'utf8').includes('SETTLEMENT_MISMATCH'),
      'the refusal in the log',
      90,
    );
    expect(await api.epochs()).toHaveLength(epochs);
    expect((await api.job(job)).settledEpoch).toBeNull();
  }, 120_000);
});

test('a folder that names a deployed stage lets the same verbs speak to it', async () => {
  const example = JSON.parse(readFileSync('infra/stages/example.json', 'utf8')) as object;
  const { chain, coordinator, keys } = stack.file;
  const settings = { ...example, coordinator, deployment: chain.deployment };
  writeFileSync(join(state, 'ada.json'), JSON.stringify(settings));
  const away = (...argv: string[]) => type(['--state', join(state, 'away'), ...argv, '--json']);
  const named = ['--stage', 'ada', '--settings', state, '--key', String(keys.coordinator)];
  const connected = await away('connect', ...named, '--rpc', chain.rpcUrl, '--api', `${stack.file.api}/`);
  expect(connected).toMatchObject({ code: 0, err: '' });
  expect(readFileSync(join(state, 'away', 'stack.json'), 'utf8')).not.toContain(
    readFileSync(String(keys.coordinator), 'utf8').trim(),
  );
  const here = (...argv: string[]) => type(['--state', state, ...argv, '--json']);
  for (const verb of [
    ['job', 'list'],
    ['runner', 'list'],
    ['queue', 'list'],
    ['trigger', 'list'],
  ]) {
    const [there, beside] = [await away(...verb), await here(...verb)];
    expect([verb, there.code, there.err]).toEqual([verb, 0, '']);
    expect([verb, there.json()]).toEqual([verb, beside.json()]);
  }
  const local = await type([
    '--state',
    state,
    'connect',
    ...named,
    '--rpc',
    chain.rpcUrl,
    '--api',
    stack.file.api,
  ]);
  expect(local).toMatchObject({ code: 1, err: expect.stringMatching(/^error CONFLICT: [^]*--state/) });
}, 120_000);

test('every part listens on 127.0.0.1 only', () => {
  const pids = stack.supervisor.status().flatMap(({ pid }) => pid ?? []);
  expect(pids.length).toBeGreaterThan(10);
  const listening = pids.flatMap(listeningAddresses);
  expect(listening.length).toBeGreaterThan(8);
  expect(new Set(listening)).toEqual(new Set(['127.0.0.1']));
});

function dynamodb(): DynamoDBClient {
  const ports = readPorts(state) as Record<'dynamodb' | 's3' | 'sqs', number>;
  const environment = awsEnvironment(ports);
  return new DynamoDBClient({
    region: environment['AWS_REGION'] ?? '',
    endpoint: environment['AWS_ENDPOINT_URL_DYNAMODB'] ?? '',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
}
