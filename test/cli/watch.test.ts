import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { id } from 'ethers';
import type { Observation } from '#audit/watcher.js';
import type { RobustRule } from '#core/robustRule.js';
import { passWindow, startCourt, stranger } from '#test/audit/court.js';
import type { Falsification } from '#test/audit/falsification.js';
import { writeHistoryTo, type History } from '#test/audit/history.js';
import { asked, shown } from '#test/audit/lies.js';
import type { HistoryArchive } from '#test/audit/memoryArchive.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { endGatewaysBetween, startGatewayBetween } from '#test/services/gatewayBetween.js';
import { until } from '#test/support/until.js';
import { startAuditor, type Auditor } from './auditor.js';
import { type } from './person.js';

/** A stranger with a key, and nothing else than any auditor has. */
let auditor: Auditor;
let stack: ChainStack;
const bond = 1001n;

beforeAll(async () => {
  auditor = await startAuditor(startCourt);
  stack = auditor.stack;
  writeFileSync(join(auditor.folder, 'stranger.key'), stranger.privateKey);
  // A chain's first history is paid, which takes it beyond its window.
  await closed('paid');
}, 120_000);
afterEach(async () => {
  await endGatewaysBetween();
  // What one test closed is nothing that the next one should look at.
  await passWindow(stack);
});

type Told = History<HistoryArchive>;

/** A coordinator's work, with its updates where the stranger has them. */
async function closed(name: string, falsify: Falsification = {}, robust?: RobustRule): Promise<Told> {
  const options = { archive: auditor.archive, ...(robust && { robust }) };
  const history = await writeHistoryTo(stack, name, options, falsify);
  auditor.keep(history);
  return history;
}

const place = (...gateways: string[]) => auditor.place(...gateways);
const typed = (
  argv: string[],
  options: { environment?: Record<string, string>; signal?: AbortSignal } = {},
) => type(argv, { folder: auditor.folder, ...options });

interface Watched {
  code: number;
  err: string;
  seen: Observation[];
}

async function watch(argv: string[], signal?: AbortSignal): Promise<Watched> {
  const { code, out, err } = await typed(
    ['watch', '--json', ...argv, ...(argv.includes('--gateway') ? [] : place())],
    signal ? { signal } : {},
  );
  return { code, err, seen: observed(out) };
}

function observed(out: string): Observation[] {
  const lines = out.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Observation).filter(({ outcome }) => outcome !== undefined);
}

const once = ['--once', '--key', 'stranger.key', '--updates', 'updates'];
const ofRound = ({ seen }: Watched, { job }: Told, round: number) =>
  seen.filter((observation) => observation.job === job && observation.number === round);

describe('by `roundtable watch` alone a stranger convicts a coordinator', () => {
  test.each(Object.entries(shown))('for %s', async (name, { falsify, robust, calls, what }) => {
    const lying = await closed(name, falsify, robust);
    const before = await stack.chain.balance(addressOf(stranger));
    const watched = await watch(once);
    expect(watched).toMatchObject({ code: 1, err: '' });
    expect(ofRound(watched, lying, 1)).toMatchObject([{ outcome: 'holds', unknown: [] }]);
    expect(ofRound(watched, lying, 2)).toMatchObject([
      { outcome: 'convicted', calls, what: expect.stringMatching(what), accountable: lying.payer },
    ]);
    expect(await stack.chain.escrow(lying.job)).toMatchObject({ phase: 'convicted', bond: 0n, closed: 1 });
    expect((await stack.chain.balance(addressOf(stranger))) - before).toBe((bond * 30n) / 100n);
    // What is void is nothing to dispute any more.
    const again = await watch(once);
    expect([again.code, ofRound(again, lying, 2)]).toEqual([0, []]);
  });

  test.each(Object.entries(asked))('that does not answer, for %s', async (name, lie) => {
    const { falsify, robust, calls, what } = lie;
    const lying = await closed(name, falsify, robust);
    const before = await stack.chain.balance(addressOf(stranger));
    const watched = await watch(once);
    expect(ofRound(watched, lying, 2)).toMatchObject([
      { outcome: 'asked', calls, what: expect.stringMatching(what) },
    ]);
    expect(ofRound(watched, lying, 2)[0]?.transactions).toHaveLength(calls.length);
    const sent = await transactionsOfStranger();
    expect(ofRound(await watch(once), lying, 2)).toMatchObject([{ outcome: 'asked', transactions: [] }]);
    expect(await transactionsOfStranger()).toBe(sent);

    await passWindow(stack);
    const late = await watch(once);
    expect(ofRound(late, lying, 2)).toMatchObject([{ outcome: 'convicted', calls: ['expire'] }]);
    expect(await stack.chain.escrow(lying.job)).toMatchObject({ phase: 'convicted', closed: 1 });
    expect((await stack.chain.balance(addressOf(stranger))) - before).toBe((bond * 30n) / 100n);
  });
});

describe('an honest coordinator', () => {
  test('is asked and accused of nothing', async () => {
    const honest = await closed('honest');
    const sent = await transactionsOfStranger();
    const watched = await watch(once);
    expect(watched).toMatchObject({ code: 0, err: '' });
    for (const round of [1, 2])
      expect(ofRound(watched, honest, round)).toMatchObject([{ outcome: 'holds', unknown: [], gas: 0 }]);
    expect(await transactionsOfStranger()).toBe(sent);
  });

  test.each<RobustRule>([{ rule: 'median' }, { rule: 'trimmed-mean', percent: 34 }])(
    'is accused of nothing under the rule $rule',
    async (rule) => {
      const honest = await closed(`honest ${rule.rule}`, {}, rule);
      const watched = await watch(once);
      for (const round of [1, 2])
        expect(ofRound(watched, honest, round)).toMatchObject([{ outcome: 'holds', unknown: [], gas: 0 }]);
    },
  );

  test('is trusted, and it is said so, where no updates are at hand', async () => {
    const honest = await closed('honest without updates');
    const { code, seen, err } = await watch(['--once', '--key', 'stranger.key']);
    expect([code, err]).toEqual([0, '']);
    expect(ofRound({ code, seen, err }, honest, 2)).toMatchObject([
      { outcome: 'holds', unknown: [expect.stringMatching(/^the sum: .*not at hand/)] },
    ]);
  });

  test('is asked nothing while a gateway does not answer, and what it archived is asked for when none has it', async () => {
    const honest = await closed('not shown');
    const manifest = honest.archived['manifest 2'] ?? '';
    const between = await startGatewayBetween(auditor.gateway);
    between.interfere = async (path, forward) =>
      path.includes(manifest) ? { status: 503, body: Buffer.from('busy') } : forward();
    const down = await watch([...once, ...place(between.url)]);
    expect(ofRound(down, honest, 2)).toMatchObject([
      { outcome: 'undecided', what: expect.stringContaining('ARCHIVE_UNREACHABLE'), transactions: [] },
    ]);
    between.interfere = async (path, forward) =>
      path.includes(manifest) ? { status: 404, body: Buffer.from('Not Found.') } : forward();
    const withheld = await watch([...once, ...place(between.url)]);
    expect(ofRound(withheld, honest, 2)).toMatchObject([
      { outcome: 'asked', calls: ['askRoot', 'askOpening'] },
    ]);
  }, 90_000);
});

describe('a watcher that goes on', () => {
  test('convicts as soon as the round is closed, again after a reorganisation, and through nodes that are down', async () => {
    const end = new AbortController();
    const watching = watch([...once.slice(1), '--rpc', 'http://127.0.0.1:9', ...place()], end.signal);
    const lying = await closed('while it watches', {
      params: (params) => void (params[5] = (params[5] ?? 0) + 1),
    });
    await until(
      async () => (await stack.chain.escrow(lying.job)).phase === 'convicted',
      'the conviction',
      60,
    );
    await stack.anvil.provider.send('anvil_reorg', [1, []]);
    expect(await stack.chain.escrow(lying.job)).toMatchObject({ phase: 'running', closed: 2 });
    await until(
      async () => (await stack.chain.escrow(lying.job)).phase === 'convicted',
      'the conviction',
      60,
    );
    end.abort();
    const watched = await watching;
    expect([watched.code, watched.err]).toEqual([0, '']);
    const [conviction] = ofRound(watched, lying, 2);
    expect(conviction).toMatchObject({ outcome: 'convicted', calls: ['wrongStep'] });
    const seconds = conviction?.seconds ?? Infinity;
    expect(seconds).toBeLessThan(60);
    expect(conviction?.gas).toBeLessThan(400_000);
  }, 90_000);

  test('waits for a chain that does not answer, says so once, and goes on', async () => {
    const end = new AbortController();
    const watching = watch([...once.slice(1), ...place()], end.signal);
    await pause(200);
    stack.anvil.freeze();
    await pause(1_000);
    stack.anvil.thaw();
    const lying = await closed('after an outage', {
      params: (params) => void (params[6] = (params[6] ?? 0) + 1),
    });
    await until(
      async () => (await stack.chain.escrow(lying.job)).phase === 'convicted',
      'the conviction',
      60,
    );
    end.abort();
    expect((await watching).code).toBe(0);
  }, 90_000);
});

test('asked to, it demands what a runner sealed and did not show, and names what no contract can be shown', async () => {
  const history = await writeHistoryTo(
    stack,
    'sealed and not shown',
    { archive: auditor.archive, sealFirst: true },
    { manifest: ({ headers: [header] }) => void delete header?.salt },
  );
  auditor.keep(history);
  const [runner] = history.worked[1]?.headers ?? [];
  const before = await transactionsOfStranger();
  const unasked = await watch(once);
  expect(unasked.code).toBe(1);
  expect(ofRound(unasked, history, 2)).toMatchObject([
    { outcome: 'wrong', what: expect.stringContaining('has no salt'), calls: [] },
  ]);
  expect(await transactionsOfStranger()).toBe(before);
  const { out } = await typed(['watch', ...once, '--demand-seals', ...place()]);
  expect(out.replaceAll('\n', ' ')).toMatch(
    new RegExp(`round 2 of job ${history.job}, runner ${runner?.runner}: it sealed an update and did not`),
  );
  expect((await transactionsOfStranger()) - before).toBe(1);
  const both = await typed(['watch', '--dry-run', '--demand-seals', ...place()]);
  expect([both.code, both.err]).toEqual([2, expect.stringContaining('leave one of the two out')]);
});

describe('it says', () => {
  test('with --dry-run what it would send, and sends nothing', async () => {
    const lying = await closed('not sent', { params: (params) => void (params[7] = (params[7] ?? 0) + 1) });
    const sent = await transactionsOfStranger();
    const watched = await watch(['--once', '--dry-run', '--updates', 'updates']);
    expect(watched.code).toBe(1);
    expect(ofRound(watched, lying, 2)).toMatchObject([
      { outcome: 'wrong', calls: ['wrongStep'], transactions: [] },
    ]);
    expect(await transactionsOfStranger()).toBe(sent);
    const shownToPeople = await typed(['watch', '--once', '--dry-run', '--updates', 'updates', ...place()]);
    expect(shownToPeople.out.replaceAll('\n', ' ')).toMatch(
      /✗ round 2 of job 0x\w+: parameter 7 of round 2 is -?\d+, and the updates give -?\d+\. wrongStep would be sent\./,
    );
  });

  test('what is missing, and whose key is none', async () => {
    const nobody = await typed(['watch', ...place()]);
    expect([nobody.code, nobody.err]).toEqual([
      2,
      expect.stringContaining('--key FILE or $ROUNDTABLE_WATCH_KEY'),
    ]);
    const environment = { ROUNDTABLE_WATCH_KEY: 'swordfish' };
    const wrong = await typed(['watch', ...place()], { environment });
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringMatching(/INVALID_INPUT.*holds no private key/s),
    ]);
    expect(wrong.err).not.toContain('swordfish');
    const nowhere = await typed(['watch', '--dry-run']);
    expect([nowhere.code, nowhere.err]).toEqual([
      2,
      expect.stringMatching(/--rpc and --gateway and --deployment/),
    ]);
  });

  test('that its account cannot pay, and that the round is still wrong', async () => {
    const lying = await closed('not paid for', {
      params: (params) => void (params[8] = (params[8] ?? 0) + 1),
    });
    const environment = { ROUNDTABLE_WATCH_KEY: id('a poor stranger') };
    const { out, code } = await typed(['watch', '--json', '--once', '--updates', 'updates', ...place()], {
      environment,
    });
    expect(code).toBe(1);
    expect(observed(out).filter(({ job, number }) => job === lying.job && number === 2)).toMatchObject([
      { outcome: 'undecided', what: expect.stringMatching(/CHAIN_INSUFFICIENT_FUNDS/) },
    ]);
  });
});

async function transactionsOfStranger(): Promise<number> {
  return stack.anvil.provider.getTransactionCount(stranger.address);
}
