import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { creditMessage, type CreditMessage } from '#core/messages.js';
import { ensureTable, openRestoration, openTable, type Table } from '#services/table.js';
import { startStores, type Stores } from './realParts.js';
import {
  addressOf,
  coordinator,
  exampleJob,
  exampleModel,
  exampleRound,
  exampleRunner,
  exampleSpec,
  exampleTrigger,
  exampleVersion,
  hashOf,
  timeOf,
} from './views.js';

let stores: Stores;
let table: Table;

beforeAll(async () => {
  stores = await startStores(['dynamodb']);
  await ensureTable({ table: 'test' });
  table = openTable({ table: 'test' });
});
afterAll(() => stores.stop());

test('a table that exists is left alone', async () => {
  await table.createTrigger(exampleTrigger({ name: 'kept' }), ['secret']);
  await ensureTable({ table: 'test' });
  expect(await table.getTrigger('kept')).not.toBeNull();
});

describe('jobs', () => {
  test('one of fifty writers at once creates a job', async () => {
    const view = exampleJob({ job: hashOf('raced') });
    const created = await Promise.all(Array.from({ length: 50 }, () => table.createJob(view)));
    expect(created.filter(Boolean)).toHaveLength(1);
    expect(await table.getJob(view.job)).toEqual(view);
  });

  test('are listed newest first, as many as asked for', async () => {
    for (const [name, second] of [
      ['b', 2_002],
      ['c', 2_003],
      ['a', 2_001],
    ] as const)
      await table.createJob(exampleJob({ job: hashOf(`listed ${name}`), createdAt: timeOf(second) }));
    const jobs = await table.listJobs({ limit: 3 });
    expect(jobs.map(({ job }) => job)).toEqual([hashOf('listed c'), hashOf('listed b'), hashOf('listed a')]);
  });

  test('a projection with an equal or older seq is dropped', async () => {
    const view = exampleJob({ job: hashOf('projected') });
    await table.createJob(view);
    expect(await table.projectJob({ ...view, seq: 2, state: 'running', round: 1, loss: 1e200 })).toBe(true);
    expect(await table.projectJob({ ...view, seq: 1, state: 'paused' })).toBe(false);
    expect(await table.projectJob({ ...view, seq: 2, state: 'failed' })).toBe(false);
    expect(await table.getJob(view.job)).toMatchObject({ seq: 2, state: 'running', round: 1, loss: 1e200 });
  });

  test('the settled epoch survives later projections and never goes back', async () => {
    const view = exampleJob({ job: hashOf('settled') });
    await table.createJob(view);
    await table.settleJob(view.job, 3);
    await table.projectJob({ ...view, seq: 9, state: 'done', round: 8 });
    await table.settleJob(view.job, 2);
    expect(await table.getJob(view.job)).toMatchObject({ seq: 9, settledEpoch: 3 });
    await expect(table.settleJob(hashOf('nothing'), 1)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('wait for dispatch while queued, counted from the last ring', async () => {
    const view = exampleJob({ job: hashOf('waits'), createdAt: timeOf(5_000) });
    const waiting = async (before: number) =>
      (await table.listWaiting('dispatch', timeOf(before), 1_000)).some(({ job }) => job === view.job);
    await table.createJob(view);
    expect([await waiting(5_000), await waiting(5_001)]).toEqual([false, true]);
    await table.markRung(view.job, timeOf(5_100));
    expect([await waiting(5_050), await waiting(5_101)]).toEqual([false, true]);
    await table.projectJob({ ...view, seq: 1, state: 'running' });
    await table.markRung(view.job, timeOf(5_200));
    expect(await waiting(9_999)).toBe(false);
  });

  test('wait for a settlement once they have ended with rounds to pay', async () => {
    const ended = async (name: string, changes: Parameters<typeof exampleJob>[0]) => {
      const view = exampleJob({ job: hashOf(name) });
      await table.createJob(view);
      await table.projectJob({ ...view, seq: 1, updatedAt: timeOf(1), state: 'done', round: 8, ...changes });
      const waiting = await table.listWaiting('settlement', timeOf(10), 1_000);
      return waiting.some(({ job }) => job === view.job);
    };
    expect(await ended('paid', {})).toBe(true);
    expect(await ended('failed late', { state: 'failed', round: 2 })).toBe(true);
    expect(await ended('failed at once', { state: 'failed', round: 0 })).toBe(false);
    expect(
      await ended('for free', { spec: exampleSpec({ rewards: { budget: '0', rule: 'samples' } }) }),
    ).toBe(false);
    expect(await ended('still running', { state: 'running' })).toBe(false);
    await table.settleJob(hashOf('paid'), 1);
    const waiting = (await table.listWaiting('settlement', timeOf(10), 1_000)).map(({ job }) => job);
    expect(waiting).toContain(hashOf('failed late'));
    expect(waiting).not.toContain(hashOf('paid'));
  });
});

test('rounds are listed in their numeric order, each at its newest projection', async () => {
  const job = hashOf('rounds');
  for (const round of [10, 2, 1]) await table.projectRound(exampleRound({ job, round }));
  expect(await table.projectRound(exampleRound({ job, round: 2, seq: 5, phase: 'done' }))).toBe(true);
  expect(await table.projectRound(exampleRound({ job, round: 2, seq: 4, phase: 'anchoring' }))).toBe(false);
  const rounds = await table.listRounds(job);
  expect(rounds.map(({ round, phase }) => [round, phase])).toEqual([
    [1, 'collecting'],
    [2, 'done'],
    [10, 'collecting'],
  ]);
});

describe('versions', () => {
  test('the latest of a lineage is that of the newest job, whatever is repeated late', async () => {
    for (const number of [0, 1, 2, 11]) await table.putVersion(exampleVersion(number));
    await table.putVersion(exampleVersion(2));
    expect(await table.latestVersion('digits')).toEqual(exampleVersion(11));
    const anew = exampleVersion(0, {
      job: hashOf('next job'),
      updatedAt: timeOf(100),
      model: exampleModel('anew'),
    });
    await table.putVersion(anew);
    await table.putVersion(exampleVersion(11));
    expect(await table.latestVersion('digits')).toEqual(anew);
    expect(await table.latestVersion('none')).toBeNull();
  });

  test('are found by id and listed by number, of one lineage or all', async () => {
    await table.putVersion(exampleVersion(0, { lineage: 'alone', model: exampleModel('alone') }));
    expect((await table.listVersions('alone')).map(({ lineage }) => lineage)).toEqual(['alone']);
    const numbers = (await table.listVersions('digits')).filter(({ job }) => job === hashOf('job'));
    expect(numbers.map(({ number }) => number)).toEqual([0, 1, 2, 11]);
    expect((await table.listVersions()).map(({ lineage }) => lineage)).toContain('alone');
    expect(await table.getVersion(exampleModel('11').versionId)).toEqual(exampleVersion(11));
    expect(await table.getVersion(hashOf('none'))).toBeNull();
  });
});

describe('runners', () => {
  const { runner } = exampleRunner();

  test('a sign of life counts only from an enrolled runner, and the newest one stands', async () => {
    const seen = { state: 'idle', progress: null } as const;
    expect(await table.seenRunner(runner, seen, timeOf(1))).toBe(false);
    await table.enrolRunner(exampleRunner());
    expect(await table.seenRunner(runner, { ...seen, state: 'training' }, timeOf(4))).toBe(true);
    expect(await table.seenRunner(runner, seen, timeOf(2))).toBe(true);
    expect(await table.getRunner(runner)).toMatchObject({ state: 'training', lastSeen: timeOf(4) });
  });

  test('enrolling again replaces what it serves and keeps when it first came', async () => {
    const before = await table.getRunner(runner);
    const again = exampleRunner({ enrolledAt: timeOf(50), lastSeen: timeOf(50), name: 'ward-2', data: [] });
    await table.enrolRunner(again);
    const after = await table.getRunner(runner);
    expect(after).toMatchObject({ name: 'ward-2', data: [], enrolledAt: timeOf(0), lastSeen: timeOf(50) });
    expect(after?.seq).toBeGreaterThan(before?.seq ?? Infinity);
    expect(await table.listRunners()).toEqual([after]);
  });
});

describe('triggers', () => {
  test('a name is given once; views never hold secrets', async () => {
    expect(await table.createTrigger(exampleTrigger(), ['first'])).toBe(true);
    expect(await table.createTrigger(exampleTrigger(), ['second'])).toBe(false);
    expect(await table.getTrigger('nightly')).toEqual({ view: exampleTrigger(), secrets: ['first'] });
    expect(JSON.stringify(await table.listTriggers())).not.toContain('first');
    expect(await table.getTrigger('none')).toBeNull();
  });

  test('of two rotations from the same state one succeeds', async () => {
    const outcomes = await Promise.all(
      ['x', 'y'].map((secret) => table.setTriggerSecrets('nightly', [secret, 'first'], 0, timeOf(3))),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    const rotated = await table.getTrigger('nightly');
    expect(rotated?.view).toMatchObject({ seq: 1, secrets: 2, updatedAt: timeOf(3) });
    expect(rotated?.secrets).toEqual([outcomes[0] ? 'x' : 'y', 'first']);
  });
});

describe('credits', () => {
  const credit: CreditMessage = creditMessage.parse({
    type: 'credit',
    payer: coordinator,
    job: hashOf('job'),
    round: 1,
    runner: addressOf('runner'),
    units: '2000',
    amount: '123456789012345678901234567890',
    manifestHash: hashOf('manifest'),
  });

  test('a share is credited once, however often and concurrently it comes', async () => {
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => table.credit(credit)));
    expect(outcomes.filter((outcome) => outcome === 'credited')).toHaveLength(1);
    expect(await table.listCredits(coordinator)).toEqual([credit]);
  });

  test('another amount for the same share is refused and changes nothing', async () => {
    await expect(table.credit({ ...credit, amount: '1' })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await table.listCredits(coordinator, credit.job)).toEqual([credit]);
    expect(await table.listCredits(coordinator, hashOf('other'))).toEqual([]);
  });

  test('a runner’s sum is that of its credits, also when many rounds are credited at once and repeatedly', async () => {
    const payer = addressOf('another payer');
    const rounds = Array.from({ length: 12 }, (_, i) => ({ ...credit, payer, round: i + 1 }));
    await Promise.all([...rounds, ...rounds, ...rounds].map((share) => table.credit(share)));
    await expect(table.credit({ ...credit, payer, amount: '1' })).rejects.toMatchObject({ code: 'CONFLICT' });
    const { runner, amount } = credit;
    expect(await table.listEarnings(payer)).toEqual([
      { payer, runner, amount: String(12n * BigInt(amount)), credits: 12 },
    ]);
  });

  test('a credit that is restored changes its runner’s sum by what was wrong with it, and only once', async () => {
    const payer = addressOf('a restored payer');
    await table.credit({ ...credit, payer, amount: '10' });
    await table.credit({ ...credit, payer, amount: '5', round: 2 });
    const { restore } = openRestoration({ table: 'test' });
    for (let i = 0; i < 2; i++) await restore({ kind: 'credit', view: { ...credit, payer, amount: '12' } });
    await restore({ kind: 'credit', view: { ...credit, payer, amount: '1', round: 3 } });
    expect(await table.listEarnings(payer)).toMatchObject([{ amount: '18', credits: 3 }]);
  });
});

const epoch = (number: number, seq: number, state: 'planned' | 'published' | 'effective') => ({
  seq,
  updatedAt: timeOf(seq),
  payer: coordinator,
  epoch: number,
  state,
  root: hashOf('root'),
  total: '5',
  leaves: 2,
  manifestHash: hashOf('manifest'),
  archive: 'c'.repeat(43),
  file: hashOf('file'),
  transaction: null,
});

test('epochs are listed ascending, each at its newest state', async () => {
  await table.projectEpoch(epoch(10, 1, 'planned'));
  await table.projectEpoch(epoch(9, 2, 'published'));
  expect(await table.projectEpoch(epoch(9, 1, 'planned'))).toBe(false);
  const epochs = await table.listEpochs(coordinator);
  expect(epochs.map(({ epoch: number, state }) => [number, state])).toEqual([
    [9, 'published'],
    [10, 'planned'],
  ]);
});

describe('intents', () => {
  test('the first line at a place stays, for everybody', async () => {
    const written = await Promise.all(
      ['a', 'b', 'c'].map((line) => table.intents.write('intents/1', 'attempt/0000', line)),
    );
    expect(new Set(written).size).toBe(1);
    expect(await table.intents.read('intents/1', 'attempt/')).toEqual([written[0]]);
    expect(await table.intents.write('intents/1', 'attempt/0000', 'd')).toBe(written[0]);
  });

  test('a book is read in the order of its places, and knows the last of them', async () => {
    expect(await table.intents.last('nonces/1')).toBeNull();
    for (const place of ['000000000010/0000', '000000000002/0001', '000000000002/0000'])
      await table.intents.write('nonces/1', place, place);
    expect(await table.intents.read('nonces/1', '000000000002/')).toEqual([
      '000000000002/0000',
      '000000000002/0001',
    ]);
    expect(await table.intents.last('nonces/1')).toBe('000000000010/0000');
    expect(await table.intents.read('nonces/2', '')).toEqual([]);
  });
});

test('what is for once is for once', async () => {
  const uses = await Promise.all(Array.from({ length: 10 }, () => table.useOnce('signature', 2_000_000_000)));
  expect(uses.filter(Boolean)).toHaveLength(1);
});

test('an outage is UNAVAILABLE', async () => {
  process.env['AWS_ENDPOINT_URL_DYNAMODB'] = `http://127.0.0.1:${stores.ports.api}`;
  await expect(openTable({ table: 'test' }).listRunners()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  process.env['AWS_ENDPOINT_URL_DYNAMODB'] = `http://127.0.0.1:${stores.ports.dynamodb}`;
});
