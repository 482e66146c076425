import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Download, Page } from 'playwright-core';
import { manyViews } from '../support/manyViews.js';
import { anchorRewards } from '../support/anchoredRewards.js';
import { nobody, startSite, type Site } from '../support/site.js';
import { findChromium, openBrowser } from './browser.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

let site: Site;
let browser: Browser;

/** Speed is measured by `npm run bench -- page`, on a machine that does nothing else; here is what makes it. */
withBrowser('a stack of 10,000 rounds, 1,000 runners and 2,000 versions', () => {
  beforeAll(async () => {
    site = await startSite(manyViews({ rounds: 10_000, runners: 1_000, versions: 2_000, asked: 64 }));
    browser = await openBrowser(chromium ?? '');
  });

  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  test('a job is opened with its newest rounds; older ones are pages that are URLs', async () => {
    const page = await open(`jobs/${jobId()}`);
    let received = 0;
    page.on('response', (response) => {
      response.body().then(
        ({ length }) => (received += length),
        () => undefined,
      );
    });
    await page.waitForSelector('text=rounds 9,901 to 10,000 of 10,000');
    expect(await rowsOf(page, 'Rounds of digits')).toBe(100);
    expect(received).toBeLessThan(6_000_000);
    await page.click('text=after →');
    await page.waitForSelector('text=rounds 9,801 to 9,900 of 10,000');
    expect(page.url()).toContain('?before=9901');
    await page.reload();
    await page.waitForSelector('text=rounds 9,801 to 9,900 of 10,000');
    await page.click('text=← before');
    await page.waitForSelector('text=rounds 9,901 to 10,000 of 10,000');
    await page.close();
  });

  test('a round far back is opened by its URL, with who was missing and why', async () => {
    const page = await open(`jobs/${jobId()}/rounds/18`);
    await page.waitForSelector('text=Receipt of round 18');
    expect(await page.locator('.receipt').innerText()).toContain('came too late');
    await page.close();
  });

  test('charts cover the whole job with few points', async () => {
    const page = await open(`jobs/${jobId()}`);
    await page.waitForSelector('.chart svg[aria-label*="rounds 64 to 10000"]');
    const length = await page
      .locator('.chart .line')
      .first()
      .evaluate((line) => line.getAttribute('d')?.length);
    expect(length).toBeLessThan(8_000);
    await page.close();
  });

  test('runners and versions are drawn a hundred at a time, and their files have all of them', async () => {
    const page = await open('runners');
    await page.waitForSelector('text=1 to 100 of 1,000');
    expect(await rowsOf(page, 'Runners')).toBe(100);
    await page.click('text=after →');
    await page.waitForSelector('text=101 to 200 of 1,000');
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('text=CSV')]);
    expect(await linesOf(file)).toHaveLength(1_001);
    await page.goto(`${site.url}/#/models`);
    await page.waitForSelector('text=1 to 100 of 2,000');
    expect(await rowsOf(page, 'Lineage digits')).toBe(100);
    await page.close();
  });

  test('a page that is asked for often keeps no more than a screen of data', async () => {
    const page = await open(`jobs/${jobId()}`, 20);
    await page.waitForSelector('text=rounds 9,901 to 10,000 of 10,000');
    const session = await page.context().newCDPSession(page);
    const [first] = site.says.jobs;
    if (!first) throw new Error('there is no job');
    const asked = () => site.asked.get('/v1/jobs') ?? 0;
    for (const begun = asked(); asked() < begun + 300;) {
      // A new round every few questions.
      site.says = { ...site.says, jobs: [{ ...first, round: 10_000 + Math.floor((asked() - begun) / 3) }] };
      await page.waitForTimeout(20);
    }
    const pager = page.locator('.pager').first();
    const last = site.says.jobs[0]?.round ?? 0;
    const [from, to] = [last - 99, last].map((round) => round.toLocaleString('en-US'));
    const newest = `rounds ${from} to ${to} of ${to}`;
    for (let i = 0; i < 100 && !(await pager.innerText()).includes(newest); i++)
      await page.waitForTimeout(100);
    expect(await pager.innerText()).toContain(newest);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    expect(usedSize).toBeLessThan(60_000_000);
    expect(await rowsOf(page, 'Rounds of digits')).toBe(100);
    site.says = { ...site.says, jobs: [first] };
    await page.close();
  }, 60_000);
});

withBrowser('rewards of many epochs and accounts', () => {
  let site: Site;
  let browser: Browser;
  beforeAll(async () => {
    site = await startSite(nobody);
    anchorRewards(site, { epochs: 80, accounts: 1_000 });
    browser = await openBrowser(chromium ?? '');
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  test('are recomputed in the worker, shown in pages, and every comparison is in the files', async () => {
    const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
    await page.goto(`${site.url}/#/rewards`);
    await page.waitForSelector('text=1 to 100 of 1,000');
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('progress[aria-label="How far the check is"]');
    await page.waitForSelector('.verdict:has-text("True. Every epoch rebuilt")', { timeout: 60_000 });
    expect(await rowsOf(page, 'Earned and paid')).toBe(100);
    // Two groups an epoch: its own and the API's word on it; and the chain.
    await page.click('summary:text-is("What was compared")');
    expect(await page.locator('.checks tr.group').count()).toBe(60);
    await page.waitForSelector('text=and 101 more, which are in the files');
    const checks = page.locator('.table', { has: page.locator('.checks') });
    const [file] = await Promise.all([page.waitForEvent('download'), checks.locator('text=CSV').click()]);
    const lines = await linesOf(file);
    expect(lines.filter((line) => line.startsWith('Epoch 80,'))).toHaveLength(9);
    expect(lines.filter((line) => line.includes(',differs,'))).toEqual([]);
    await page.close();
  }, 120_000);

  test('name the one that is wrong first, among many that are right', async () => {
    const page = await (await browser.newContext({ locale: 'en-US' })).newPage();
    const [wrong] = site.says.epochs.slice(66);
    if (!wrong) throw new Error('there are too few epochs');
    const epochs = site.says.epochs.map((epoch) => (epoch === wrong ? { ...epoch, total: '1' } : epoch));
    site.says = { ...site.says, epochs };
    await page.goto(`${site.url}/#/rewards`);
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.false:has-text("the api\'s word on epoch 67, total")', {
      timeout: 60_000,
    });
    expect(await page.locator('.checks tr.group').first().innerText()).toContain('epoch 67');
    await page.close();
  }, 120_000);
});

const jobId = () => site.says.jobs[0]?.job ?? '';

/** @param faster timers run so many times as fast */
async function open(view: string, faster = 1): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  if (faster > 1)
    await page.addInitScript(`{
      const { setTimeout: real } = window;
      window.setTimeout = (work, ms, ...rest) => real(work, ms / ${faster}, ...rest);
    }`);
  await page.goto(`${site.url}/#/${view}`);
  return page;
}

const rowsOf = (page: Page, caption: string): Promise<number> =>
  page.locator(`table:has(caption:text-is("${caption}")) tbody tr`).count();

async function linesOf(file: Download): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of await file.createReadStream()) chunks.push(String(chunk));
  return chunks.join('').trim().split('\r\n');
}
