import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContextOptions, Download, Page } from 'playwright-core';
import type { Api } from '#cli/api.js';
import type { EpochView, JobView, VersionView } from '#core/views.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readModel } from '#trainer/model.js';
import { decodeSafetensors } from '#core/safetensors.js';
import { Gateways } from '#web/verify/archive.js';
import { Checks, type Check } from '#web/verify/checks.js';
import { ChainView, type Contracts } from '#web/verify/contracts.js';
import type { Said } from '#web/verify/messages.js';
import { verifyRewards } from '#web/verify/rewards.js';
import { Rpc } from '#web/verify/rpc.js';
import { verifyVersion } from '#web/verify/version.js';
import { lies } from './lies.js';
import { few } from '../support/digits.js';
import { digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnded, untilEnrolled, untilSettled } from '../support/stackApi.js';
import { until } from '../support/until.js';
import {
  axeViolations,
  findChromium,
  friendsOf,
  looks,
  openBrowser,
  watched,
  widthBeyond,
} from './browser.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

let state: string;
let stack: LocalStack;
let api: Api;
let browser: Browser;
let job: JobView;
let version: VersionView;
let absent: string;
const complaints: string[] = [];

withBrowser('the page on a real stack', () => {
  beforeAll(async () => {
    state = mkdtempSync(join(tmpdir(), 'roundtable-page-'));
    stack = await startStack({ stateDir: state, data: [{ name: 'digits', load: () => few(800) }] });
    browser = await openBrowser(chromium ?? '');
    api = apiOf(stack);
    await untilEnrolled(api, stack);
    absent = stack.runners.at(-1)?.name ?? '';
    await stack.stopRunner(absent);
    const written = {
      name: 'looked-at',
      rounds: 4,
      participants: { quorum: 3 },
      rewards: { budget: '4000' },
    };
    const spec = await digitsSpec(api, stack, written);
    const submitted = await api.submit({ key: 'the-job-that-is-looked-at', spec });
    await until(async () => (await api.job(submitted.job)).state === 'running', 'the job runs', 90);
    job = await api.job(submitted.job);
  }, 150_000);

  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
    rmSync(state, { recursive: true, force: true });
  }, 60_000);

  test('shows a job while it runs, and each round as it comes', async () => {
    const page = await open('');
    await page.waitForSelector('.badge.running');
    await page.goto(`${stack.file.api}/#/jobs/${job.job}`);
    await page.waitForSelector('h2:has-text("Round")');
    await untilEnded(api, job.job);
    await page.waitForSelector('.badge.done', { timeout: 5_000 });
    expect(await page.locator('tbody tr', { has: page.locator('.seats') }).count()).toBe(4);
    job = await api.job(job.job);
    const newest = (await api.versions('looked-at')).at(-1);
    if (!newest) throw new Error('the job made no version');
    version = newest;
    await page.close();
  }, 120_000);

  test('who was missing in round 3, and why, is two clicks from the start', async () => {
    const page = await open('');
    await page.click('h1 a');
    await page.click('.missing-summary >> text=round 3');
    const receipt = await page.waitForSelector('.receipt');
    const text = await receipt.innerText();
    expect(text).toContain('Receipt of round 3');
    const why = (await api.rounds(job.job))[2]?.missing[0]?.reason ?? 'nobody was missing';
    expect(text).toContain(absent);
    expect(text).toContain(why);
    await page.close();
  });

  test('every round is compared with the chain unasked', async () => {
    const page = await open(`jobs/${job.job}`);
    await page.waitForSelector('text=4 of 4 rounds checked by this browser');
    await page.close();
  });

  test('a version is true, and false with one bit flipped, naming what differs', async () => {
    const page = await open(`versions/${version.model.versionId}`);
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\. \d+ comparisons agree with the chain/);
    await page.click('text=one bit flipped');
    await page.waitForSelector('.verdict.false');
    const said = await verdict(page);
    expect(said).toContain('The flipped bit was noticed');
    for (const field of ['file', 'parameter tree', 'version id']) expect(said).toContain(`model, ${field}`);
    await page.close();
  });

  test('rewards are recomputed and agree with the root on chain', async () => {
    await untilSettled(api, job.job);
    const page = await open('rewards');
    await page.click('text=Recompute all rewards here');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.close();
  }, 90_000);

  const unchecked: Record<string, RegExp> = {
    // When a row was written is the table's own affair, and what passed after the manifest was written is not in it.
    version: /^(seq|updatedAt)$/,
    round: /^(seq|updatedAt|startedAt|phase|seconds\.(archive|anchor|total))$/,
    // State, trigger and times of a job are the API's word and shown as such.
    job: /^(seq|updatedAt|state|trigger|delivery|createdAt|baseNumber|settledEpoch|problem|base\.(?!versionId).*|version\.(?!versionId).*|archive\.(?!manifest$).*|transactions\.\d+\.purpose|transactions\.length|round)$/,
    credits: /^length$|^\d+\.(type|payer|job|round)$/,
  };

  test('an API that lies in any one field is found out: every field that is shown as checked, one by one', async () => {
    const [view, round, credits] = await Promise.all([
      api.job(job.job),
      api.rounds(job.job).then((rounds) => rounds.at(-1)),
      api.credits().then((all) => all.filter(({ round: number }) => number === 4)),
    ]);
    if (!round) throw new Error('the job has no round');
    const said: Said = { version, round, job: view, credits };
    expect((await comparisons(said)).filter(({ ok }) => ok === false)).toEqual([]);
    expect(credits.length).toBeGreaterThan(0);
    const missed: string[] = [];
    let told = 0;
    for (const [part, answer] of Object.entries(said) as [keyof Said, object][])
      for (const lie of lies(answer)) {
        if (unchecked[part]?.test(lie.path)) continue;
        told += 1;
        const wrong = (await comparisons({ ...said, [part]: lie.told } as Said)).filter(
          ({ ok }) => ok === false,
        );
        const named = wrong.some(({ group }) => group.startsWith("The API's word"));
        if (!named) missed.push(`${part}.${lie.path}`);
      }
    expect(missed).toEqual([]);
    expect(told).toBeGreaterThan(80);
  }, 120_000);

  test('an API that lies about an epoch is found out, field by field', async () => {
    const epochs = await api.epochs();
    expect(epochs.length).toBeGreaterThan(0);
    const shown = /\.(root|total|leaves|manifestHash|transaction\.(hash|gas|block))$/;
    for (const lie of lies(epochs).filter(({ path }) => shown.test(path))) {
      const checks = new Checks();
      await verifyRewards(checks, sources(), stack.file.coordinator, { epochs: lie.told as EpochView[] });
      const wrong = checks.all.filter(({ ok }) => ok === false).map(({ group }) => group);
      // Of a transaction that there is not, gas and block are wrong as well.
      expect([lie.path, [...new Set(wrong)]]).toEqual([lie.path, ["The API's word on epoch 1"]]);
    }
  }, 60_000);

  test('what is found out is shown, with the name of the field', async () => {
    const page = await open('models');
    const tales: [field: string, lie: (view: VersionView) => void][] = [
      ['accuracy', (view) => (view.accuracy = 0.999)],
      ['file hash', (view) => (view.model.params = flipped(view.model.params))],
    ];
    let lie = tales[0]?.[1];
    await page.route('**/v1/versions', async (route) => {
      const response = await route.fetch({ headers: {} });
      const answer = (await response.json()) as { items: VersionView[] };
      const told = answer.items.find(({ model }) => model.versionId === version.model.versionId);
      if (told) lie?.(told);
      await route.fulfill({ json: answer });
    });
    for (const [field, next] of tales) {
      lie = next;
      await page.goto('about:blank');
      await page.goto(`${stack.file.api}/#/versions/${version.model.versionId}`);
      await page.waitForSelector('dl');
      await page.click('text=Check this version');
      expect(await verdict(page)).toContain(`the api's word, ${field}`);
    }
    await page.close();
  }, 60_000);

  test('a gateway that turns over one bit, and a node of another chain, are found out', async () => {
    const page = await open(`versions/${version.model.versionId}`);
    await page.route(`${stack.file.gateway}/${version.archive.model}`, async (route) => {
      const body = await (await route.fetch()).body();
      body[2_000] = (body[2_000] ?? 0) ^ 4;
      await route.fulfill({ body, headers: { 'access-control-allow-origin': '*' } });
    });
    await page.click('text=Check this version');
    expect(await verdict(page)).toContain('model, file');
    await page.route(`${stack.file.chain.rpcUrl}/`, async (route) => {
      const { id, method } = route.request().postDataJSON() as { id: number; method: string };
      if (method !== 'eth_chainId') return route.continue();
      await route.fulfill({
        json: { jsonrpc: '2.0', id, result: '0x1' },
        headers: { 'access-control-allow-origin': '*' },
      });
    });
    await page.click('text=Check this version');
    await page.waitForSelector('.verdict:has-text("chain id")');
    await page.close();
  });

  test('with the API dead, also after a reload, lineage, versions and rewards come from chain and archive', async () => {
    const page = await open('models');
    await page.waitForSelector('.lineage');
    // Nothing of the stack answers but the files of the page: config.json is gone as well.
    await page.route('**/v1/**', (route) => route.abort());
    await page.route('**/config.json', (route) => route.abort());
    await page.reload();
    await page.waitForSelector('text=This is what chain and archive say');
    expect(await page.locator('tr.lineage').count()).toBe(5);
    await page.click(`tr.lineage:has-text("round 4") a.strong`);
    await page.waitForSelector('h1:has-text("looked-at, version 4")');
    await page.waitForSelector('text=FedAvg');
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${stack.file.api}/#/rewards`);
    await page.click('text=Recompute all rewards here');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${stack.file.api}/#/jobs`);
    await page.waitForSelector('text=what only the API knows');
    await page.close();
  }, 60_000);

  test('the three questions that are asked most are at most three clicks from the start', async () => {
    const page = await open('');
    await page.click('h1 a');
    await page.click('tbody tr:nth-child(1) a.strong');
    const cost = await page.locator('.cost').innerText();
    const round = (await api.rounds(job.job)).at(-1);
    const gas = (round?.transactions ?? []).reduce((sum, transaction) => sum + transaction.gas, 0);
    expect(cost).toContain(`${gas.toLocaleString('en-US')} gas`);
    await page.goto(`${stack.file.api}/#/`);
    await page.click('.lead a.strong');
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${stack.file.api}/#/`);
    await page.click('nav >> text=Rewards');
    const row = page.locator('tr', { hasText: stack.runners[0]?.name ?? '' });
    expect(await row.first().innerText()).toMatch(/\d/);
    await page.close();
  });

  test('a model is taken along as files that load, and a digit is shown to it', async () => {
    const page = await open(`versions/${version.model.versionId}`);
    const [onnx] = await Promise.all([page.waitForEvent('download'), page.click('text=ONNX (float32)')]);
    const [tensors] = await Promise.all([
      page.waitForEvent('download'),
      page.click('text=safetensors (float32)'),
    ]);
    const parameters = decodeSafetensors(await bytesOf(tensors)).tensors;
    const model = readModel(await bytesOf(onnx));
    expect(model.weights.map(({ name }) => name)).toEqual([...parameters.keys()].sort());
    await page.click('[aria-label="Digits drawn already"] >> text="3"');
    await page.waitForSelector('text=/The model sees a \\d/');
    expect(await page.locator('.answer li').count()).toBe(10);
    expect(await axeViolations(page)).toEqual([]);
    await page.close();
  }, 60_000);

  test('names are text, whatever is in them', async () => {
    const page = await open('');
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
    await page.route('**/v1/runners', async (route) => {
      const answer = (await (await route.fetch({ headers: {} })).json()) as { items: { name: string }[] };
      for (const runner of answer.items) runner.name = hostile;
      await route.fulfill({ json: answer });
    });
    await page.goto(`${stack.file.api}/#/runners`);
    await page.reload();
    await page.waitForSelector('td strong');
    expect(await page.locator('td strong').first().innerText()).toBe(hostile);
    expect(await page.locator('main img, main script').count()).toBe(0);
    await page.close();
  });

  test('messages that could not be processed are shown with why, and the command that puts them back', async () => {
    const page = await open('', { viewport: { width: 1280, height: 900 } });
    const letter = {
      id: 'message-1',
      since: '2026-11-22T20:00:00.000Z',
      message: '{"type":"job","job":"<b>0x01</b>"}',
      deliveries: 5,
      code: 'NOT_FOUND',
      reason: 'The queue names a job which the table does not have.',
    };
    const items = [
      { queue: 'jobs', waiting: 2, dead: 1, letters: [letter] },
      { queue: 'credits', waiting: 0, dead: 0, letters: [] },
    ];
    await page.route('**/v1/queues', (route) => route.fulfill({ json: { items } }));
    await page.goto(`${stack.file.api}/#/stack`);
    await page.waitForSelector('text=NOT_FOUND');
    const shown = await page.locator('main').innerText();
    for (const text of [
      '2 waiting, 1 could not be processed',
      letter.reason,
      letter.message,
      'queue redrive jobs',
    ])
      expect(shown).toContain(text);
    expect(await axeViolations(page)).toEqual([]);
    await page.close();
  });

  test.each(looks)(
    'axe finds nothing on any screen %s, and nothing is wider than the window',
    async (_, options) => {
      const page = await open('', options);
      const views = ['', 'jobs', `jobs/${job.job}`, `jobs/${job.job}/rounds/3`, 'models', 'runners'].concat(
        `versions/${version.model.versionId}`,
        'rewards',
        'stack',
        'nowhere',
        `jobs/${flipped(job.job)}`,
        `versions/${flipped(version.model.versionId)}`,
      );
      for (const view of views) {
        await page.goto(`${stack.file.api}/#/${view}`);
        await page.waitForSelector('main h1');
        const buttons = page.locator('main button.primary');
        if ((await buttons.count()) > 0) {
          await buttons.first().click();
          await page.waitForSelector('.verdict.true, .verdict.false');
        }
        expect([view, await axeViolations(page)]).toEqual([view, []]);
        const beyond = await widthBeyond(page);
        expect([view, beyond]).toEqual([view, 0]);
      }
      await page.close();
    },
    120_000,
  );

  test('no page ran against its policy, threw, or asked a stranger', () => {
    expect(complaints).toEqual([]);
  });
});

const sources = () => {
  const { chain, gateway } = stack.file;
  const { rpcUrl } = chain;
  const deployment = chain.deployment as unknown as Contracts;
  return { chain: new ChainView(new Rpc(rpcUrl), deployment), archive: new Gateways([gateway]) };
};

async function comparisons(said: Said): Promise<Check[]> {
  const checks = new Checks();
  await verifyVersion(checks, { ...sources(), said, flip: false }, version.model.versionId);
  return checks.all;
}

async function bytesOf(download: Download): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  return new Uint8Array(Buffer.concat(chunks));
}

async function open(view: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-US', ...options });
  const page = watched(await context.newPage(), complaints, friendsOf(stack));
  await page.goto(`${stack.file.api}/#/${view}`);
  return page;
}

/** The words of the outcome, once there is one. */
async function verdict(page: Page): Promise<string> {
  const found = page.locator('.verdict.true, .verdict.false');
  await found.waitFor();
  return found.innerText();
}

function flipped<T extends string>(hex: T): T {
  return `${hex.slice(0, -1)}${hex.endsWith('0') ? '1' : '0'}` as T;
}
