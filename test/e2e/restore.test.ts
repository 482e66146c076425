import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, DynamoDBDocumentClient, paginateScan, PutCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Api } from '#cli/api.js';
import { notRestored } from '#cli/restore/notRestored.js';
import { tableName } from '#core/names.js';
import type { JobView } from '#core/views.js';
import { awsEnvironment } from '#local/environment.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readPorts } from '#local/supervisor/ports.js';
import { type } from '../cli/person.js';
import { few } from '../support/digits.js';
import { digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnded, untilEnrolled, untilSettled } from '../support/stackApi.js';
import { until } from '../support/until.js';

/** A table that is lost under a running stack, and brought back from the chain and the archive alone. */
let folder: string;
let state: string;
let stack: LocalStack;
let api: Api;
let client: DynamoDBClient;
let table: DynamoDBDocumentClient;
/** All of it, before it was lost. */
let before: Row[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-restore-'));
  state = join(folder, 'stack');
  stack = await startStack({
    stateDir: state,
    data: [{ name: 'digits', load: () => few(400) }],
    // A model of six thousand parameters is large here: its sums are cut among three functions.
    sums: { SUM_WORKER_VALUES: '1000', SUM_FUNCTION_VALUES: '2000' },
  });
  api = apiOf(stack);
  const ports = readPorts(state) as Parameters<typeof awsEnvironment>[0];
  const aws = awsEnvironment(ports);
  client = new DynamoDBClient({
    region: aws['AWS_REGION'] ?? '',
    endpoint: aws['AWS_ENDPOINT_URL_DYNAMODB'] ?? '',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  table = DynamoDBDocumentClient.from(client);
  await untilEnrolled(api, stack, 150);
}, 180_000);
afterAll(async () => {
  client?.destroy();
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

type Row = { pk: string; sk: string; view?: string } & Record<string, unknown>;

async function rows(): Promise<Row[]> {
  const found: Row[] = [];
  for await (const page of paginateScan({ client: table }, { TableName: tableName, ConsistentRead: true }))
    found.push(...((page.Items ?? []) as Row[]));
  return found;
}

const remove = ({ pk, sk }: Row) => table.send(new DeleteCommand({ TableName: tableName, Key: { pk, sk } }));

/** What only its writers know: numbers and times of writes, and seconds after a round's manifest was archived. */
const bookkeeping = new Set(['seq', 'updatedAt', 'since', 'at']);
const late = ['archive', 'anchor', 'total'];

const without = (of: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(of).filter(([name]) => !bookkeeping.has(name)));

/** A row without that, its view as an object. */
function substance(row: Row): Record<string, unknown> {
  const view = JSON.parse(row.view ?? '{}') as Record<string, unknown>;
  const seconds = view['seconds'];
  if (typeof seconds === 'object')
    view['seconds'] = Object.fromEntries(
      Object.entries(seconds ?? {}).filter(([name]) => !late.includes(name)),
    );
  return { ...without(row), view: without(view) };
}

/** Partitions of which chain and archive know nothing. */
const elsewhere =
  /^(runners|runner#|entry#|barred|triggers|triggerSecrets|once#|quota#|intent#|receipts#|attest)/;
const told = (all: readonly Row[]) =>
  all
    .filter(({ pk }) => !elsewhere.test(pk))
    .sort((a, b) => (`${a.pk}/${a.sk}` < `${b.pk}/${b.sk}` ? -1 : 1))
    .map(substance);

async function trained(name: string, key: string, written: Record<string, unknown>): Promise<JobView> {
  const spec = await digitsSpec(api, stack, { name, ...written });
  const { job } = await api.submit({ key: `${key}-submission`, spec });
  return untilEnded(api, job, 150);
}

interface Answer {
  written: Record<string, number>;
  unchanged: Record<string, number>;
  overwritten: Record<string, number>;
  problems: unknown[];
  notRestored: { what: string; why: string }[];
}
const restore = (...options: string[]) => type(['--state', state, 'restore', ...options, '--json']);

describe('a table that was lost', () => {
  beforeAll(async () => {
    const paid = { rewards: { budget: '1000' } };
    const first = await trained('digits', 'first', {
      rounds: 2,
      aggregation: { rule: 'fedavgm', momentum: '1/2' },
      ...paid,
    });
    expect(first.state).toBe('done');
    const second = await trained('digits', 'second', {});
    expect(second).toMatchObject({ state: 'done', baseNumber: 2 });
    await untilSettled(api, first.job, 150);
    await until(
      async () => (await api.epochs()).every(({ state: phase }) => phase === 'effective'),
      'the epoch is effective',
      150,
    );
    before = await rows();
    for (const row of before) await remove(row);
    expect(told(await rows())).toEqual([]);
  }, 240_000);

  test('comes back row by row, from the chain and the archive', async () => {
    const { code, err, json } = await restore();
    expect(err).toBe('');
    expect(code).toBe(0);
    const answer = json<Answer>();
    expect(answer.written).toEqual({ epoch: 1, credit: 12, version: 5, round: 3, job: 2 });
    expect(answer.problems).toEqual([]);
    expect(told(await rows())).toEqual(told(before));
  }, 60_000);

  test('restored again, nothing is written', async () => {
    const there = told(await rows());
    const { written, unchanged } = (await restore()).json<Answer>();
    expect(Object.values(written)).toEqual([0, 0, 0, 0, 0]);
    expect(unchanged).toEqual({ epoch: 1, credit: 12, version: 5, round: 3, job: 2 });
    expect(told(await rows())).toEqual(there);
  });

  test('of which a part was restored when it was interrupted is completed', async () => {
    const all = await rows();
    // Every third row, and of the versions those that come second and third.
    const lost = all.filter(
      ({ pk, sk }, index) =>
        !elsewhere.test(pk) && (index % 3 === 0 || sk === 'latest' || pk.startsWith('version#')),
    );
    for (const row of lost) await remove(row);
    const interrupted = new AbortController();
    interrupted.abort();
    const stopped = await type(['--state', state, 'restore', '--json'], { signal: interrupted.signal });
    expect(stopped.code).toBe(130);
    expect((await restore()).code).toBe(0);
    expect(told(await rows())).toEqual(told(before));
  });

  test('is not overwritten where it has something newer, unless told', async () => {
    const job = before.find(({ pk, sk }) => pk.startsWith('job#') && sk === 'job');
    const view = JSON.parse(job?.view ?? '{}') as JobView;
    const newer = { ...job, seq: 99, view: JSON.stringify({ ...view, round: 7 }) };
    const credit = before.find(({ pk }) => pk.startsWith('credits#'));
    await table.send(new PutCommand({ TableName: tableName, Item: newer }));
    if (credit) await remove(credit);
    const refused = await restore();
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('CONFLICT');
    expect(refused.err).toContain(view.job);
    // Nothing was written at all.
    expect((await rows()).find(({ sk }) => sk === credit?.sk)).toBeUndefined();
    const { overwritten } = (await restore('--overwrite')).json<Answer>();
    expect(overwritten).toEqual({ epoch: 0, credit: 0, version: 0, round: 0, job: 1 });
    expect(told(await rows())).toEqual(told(before));
  });

  test('is brought up to date where a backup has it older', async () => {
    const job = before.find(({ pk, sk }) => pk.startsWith('job#') && sk === 'job');
    const view = JSON.parse(job?.view ?? '{}') as JobView;
    const older = { ...job, view: JSON.stringify({ ...view, round: 0, state: 'running' }) };
    await table.send(new PutCommand({ TableName: tableName, Item: older }));
    const { written, overwritten } = (await restore()).json<Answer>();
    expect(written['job']).toBe(1);
    expect(overwritten['job']).toBe(0);
    expect(told(await rows())).toEqual(told(before));
  });
});

describe('after it', () => {
  test('the runners enter again by themselves, and the lineage and its payments go on', async () => {
    const connected = () =>
      api.runners().then(
        (all) => all.filter((runner) => runner.connected).length === 4,
        () => false,
      );
    await until(connected, 'all runners are there again', 150);
    const third = await trained('digits', 'third', { rewards: { budget: '1000' } });
    expect(third).toMatchObject({ state: 'done', baseNumber: 3 });
    await untilSettled(api, third.job, 150);
    expect((await api.epochs()).map(({ epoch }) => epoch)).toEqual([1, 2]);
  }, 180_000);

  test('everything verifies, sums in three functions included', async () => {
    const { code, out, err } = await type(['--state', state, 'model', 'verify', '--all']);
    expect(`${err}${out}`).toMatch(/sum/);
    expect(code).toBe(0);
  }, 120_000);
});

describe('what cannot come back', () => {
  test('is told for people, with how far it is, and stands in the operator’s guide', async () => {
    const { out, err, code } = await type(['--state', state, 'restore']);
    expect(code).toBe(0);
    expect(err).toMatch(/chain and archive: 0 of 3 jobs[^]*table: 0 of/);
    const guide = readFileSync('docs/operations.md', 'utf8').replace(/\s+/g, ' ');
    for (const { what } of notRestored) {
      expect(out.replace(/\s+/g, ' ')).toContain(what);
      expect(guide).toContain(what);
    }
  });
});

test('without a stack it says what it has to be told', async () => {
  writeFileSync(join(folder, 'nothing'), '');
  const seen = await type(['--state', join(folder, 'nowhere'), 'restore']);
  expect(seen.code).toBe(2);
  expect(seen.err).toMatch(/--rpc and --gateway and --deployment/);
});
