import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Download } from 'playwright-core';
import type { JobView, VersionView } from '#core/views.js';
import { decodeSafetensors } from '#core/safetensors.js';
import { readModel } from '#trainer/model.js';
import { digitsSpec } from '../support/digitsJob.js';
import { untilEnded } from '../support/stackApi.js';
import { until } from '../support/until.js';
import { axeViolations, findChromium, looks, widthBeyond } from './browser.js';
import { flipped, startLookedAt, verdict, type LookedAt } from './lookedAt.js';
import { checkingTests } from './page/checking.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

let at: LookedAt;
let job: JobView;
let version: VersionView;
let absent: string;

withBrowser('the page on a real stack', () => {
  beforeAll(async () => {
    at = await startLookedAt(chromium ?? '', 800);
    absent = at.stack.runners.at(-1)?.name ?? '';
    await at.stack.stopRunner(absent);
    const written = {
      name: 'looked-at',
      rounds: 4,
      participants: { quorum: 3 },
      rewards: { budget: '4000' },
    };
    const spec = await digitsSpec(at.api, at.stack, written);
    const submitted = await at.api.submit({ key: 'the-job-that-is-looked-at', spec });
    await until(async () => (await at.api.job(submitted.job)).state === 'running', 'the job runs', 90);
    job = await at.api.job(submitted.job);
  }, 150_000);

  afterAll(async () => {
    await at?.stop();
  }, 60_000);

  test('shows a job while it runs, and each round as it comes', async () => {
    const page = await at.open('');
    await page.waitForSelector('.badge.running');
    await page.goto(`${at.stack.file.api}/#/jobs/${job.job}`);
    await page.waitForSelector('h2:has-text("Round")');
    await untilEnded(at.api, job.job);
    await page.waitForSelector('.badge.done', { timeout: 5_000 });
    expect(await page.locator('tbody tr', { has: page.locator('.seats') }).count()).toBe(4);
    job = await at.api.job(job.job);
    const newest = (await at.api.versions('looked-at')).at(-1);
    if (!newest) throw new Error('the job made no version');
    version = newest;
    await page.close();
  }, 120_000);

  test('who was missing in round 3, and why, is two clicks from the start', async () => {
    const page = await at.open('');
    await page.click('h1 a');
    await page.click('.missing-summary >> text=round 3');
    const receipt = await page.waitForSelector('.receipt');
    const text = await receipt.innerText();
    expect(text).toContain('Receipt of round 3');
    const why = (await at.api.rounds(job.job))[2]?.missing[0]?.reason ?? 'nobody was missing';
    expect(text).toContain(absent);
    expect(text).toContain(why);
    await page.close();
  });

  checkingTests(() => ({ ...at, job, version }));

  test('the three questions that are asked most are at most three clicks from the start', async () => {
    const page = await at.open('');
    await page.click('h1 a');
    await page.click('tbody tr:nth-child(1) a.strong');
    const cost = await page.locator('.cost').innerText();
    const round = (await at.api.rounds(job.job)).at(-1);
    const gas = (round?.transactions ?? []).reduce((sum, transaction) => sum + transaction.gas, 0);
    expect(cost).toContain(`${gas.toLocaleString('en-US')} gas`);
    await page.goto(`${at.stack.file.api}/#/`);
    await page.click('.lead a.strong');
    await page.click('text=Check this version');
    expect(await verdict(page)).toMatch(/^True\./);
    await page.goto(`${at.stack.file.api}/#/`);
    await page.click('nav >> text=Rewards');
    const row = page.locator('tr', { hasText: at.stack.runners[0]?.name ?? '' });
    expect(await row.first().innerText()).toMatch(/\d/);
    await page.close();
  });

  test('a model is taken along as files that load, and a digit is shown to it', async () => {
    const page = await at.open(`versions/${version.model.versionId}`);
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
    const page = await at.open('');
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
    await page.route('**/v1/runners', async (route) => {
      const answer = (await (await route.fetch({ headers: {} })).json()) as { items: { name: string }[] };
      for (const runner of answer.items) runner.name = hostile;
      await route.fulfill({ json: answer });
    });
    await page.goto(`${at.stack.file.api}/#/runners`);
    await page.reload();
    await page.waitForSelector('td strong');
    expect(await page.locator('td strong').first().innerText()).toBe(hostile);
    expect(await page.locator('main img, main script').count()).toBe(0);
    await page.close();
  });

  test('messages that could not be processed are shown with why, and the command that puts them back', async () => {
    const page = await at.open('', { viewport: { width: 1280, height: 900 } });
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
    await page.goto(`${at.stack.file.api}/#/stack`);
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
      const page = await at.open('', options);
      const views = ['', 'jobs', `jobs/${job.job}`, `jobs/${job.job}/rounds/3`, 'models', 'runners'].concat(
        `versions/${version.model.versionId}`,
        'rewards',
        'stack',
        'nowhere',
        `jobs/${flipped(job.job)}`,
        `versions/${flipped(version.model.versionId)}`,
      );
      for (const view of views) {
        await page.goto(`${at.stack.file.api}/#/${view}`);
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
    expect(at.complaints).toEqual([]);
  });
});

async function bytesOf(download: Download): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  return new Uint8Array(Buffer.concat(chunks));
}
