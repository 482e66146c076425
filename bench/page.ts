import type { Browser, CDPSession, Page } from 'playwright-core';
import { fewViews } from '#test/support/fewViews.js';
import { manyViews } from '#test/support/manyViews.js';
import { startSite, type Site } from '#test/support/site.js';
import { findChromium, openBrowser } from '#test/web/browser.js';
import type { Emit } from './main.js';
import { median } from './measure.js';
import { anchoredModel } from './page/anchoredModel.js';
import { changesOnScreen } from './page/changesOnScreen.js';

/** The page in this machine's Chromium: how soon it shows data, what much data costs it, how fast it verifies. */
export async function run(emit: Emit): Promise<void> {
  const chromium = findChromium();
  if (chromium === null) return;
  const browser = await openBrowser(chromium);
  try {
    await firstData(emit, browser);
    await muchData(emit, browser);
    await verifying(emit, browser);
    await changesOnScreen(emit, browser);
  } finally {
    await browser.close();
  }
}

const repetitions = 7;
const desk = { viewport: { width: 1280, height: 900 }, locale: 'en-US' };

async function firstData(emit: Emit, browser: Browser): Promise<void> {
  const site = await startSite(fewViews('running'));
  try {
    for (const slow of [false, true]) {
      const shown: number[] = [];
      const painted: number[] = [];
      for (let i = 0; i < repetitions; i++) {
        const { page, session } = await visitor(browser);
        if (slow) await slowDown(session);
        await page.goto(`${site.url}/`, { waitUntil: 'commit' });
        await page.waitForSelector('h1 a');
        shown.push(await page.evaluate<number>(firstRow));
        await page.waitForTimeout(slow ? 2_500 : 500);
        painted.push(await page.evaluate<number>(largestPaint));
        await page.context().close();
      }
      emit({
        what: slow ? 'first data, CPU slowed four times, 1.6 Mbit/s, 150 ms' : 'first data',
        milliseconds: Math.round(median(shown)),
        largestPaint: Math.round(median(painted)),
        target: slow ? { milliseconds: 1_500, largestPaint: 2_000 } : { milliseconds: 1_000 },
      });
    }
  } finally {
    await site.stop();
  }
}

/** Since the navigation began, by the page's own clock: the job's name is there from this moment on. */
const firstRow = `performance.getEntriesByName('data')[0]?.startTime ?? performance.now()`;
const largestPaint = `new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
  .observe({ type: 'largest-contentful-paint', buffered: true }))`;
/** Marks when the first job's name appears, and keeps the longest task. */
const watcher = `
  new MutationObserver((_, observer) => {
    if (!document.querySelector('h1 a, .table tbody tr')) return;
    observer.disconnect();
    performance.mark('data');
  }).observe(document, { childList: true, subtree: true });
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration, startTime } of list.getEntries())
      if (startTime > (window.countTasksFrom ?? Infinity)) window.longest = Math.max(window.longest, duration);
  }).observe({ type: 'longtask', buffered: true });
`;

async function visitor(browser: Browser, faster = 1): Promise<{ page: Page; session: CDPSession }> {
  const page = await (await browser.newContext(desk)).newPage();
  await page.addInitScript(watcher);
  if (faster > 1)
    await page.addInitScript(`{
      const { setTimeout: later, setInterval: often } = window;
      window.setTimeout = (work, ms, ...rest) => later(work, ms / ${faster}, ...rest);
      window.setInterval = (work, ms, ...rest) => often(work, ms / ${faster}, ...rest);
    }`);
  const session = await page.context().newCDPSession(page);
  return { page, session };
}

async function slowDown(session: CDPSession): Promise<void> {
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 150,
    downloadThroughput: 1.6e6 / 8,
    uploadThroughput: 750_000 / 8,
  });
  await session.send('Emulation.setCPUThrottlingRate', { rate: 4 });
}

async function muchData(emit: Emit, browser: Browser): Promise<void> {
  const says = manyViews({ rounds: 10_000, runners: 1_000, versions: 2_000, asked: 64 });
  const site = await startSite(says);
  const [job] = says.jobs;
  if (!job) return;
  const views = { overview: '', job: `jobs/${job.job}`, runners: 'runners', models: 'models' };
  try {
    for (const [screen, view] of Object.entries(views)) {
      const { page, session } = await visitor(browser);
      await page.goto(`${site.url}/#/${view}`, { waitUntil: 'commit' });
      await page.waitForSelector('.table tbody tr:nth-child(5)');
      const milliseconds = await page.evaluate<number>(firstRow);
      await page.evaluate('window.countTasksFrom = performance.now() + 500');
      await page.waitForTimeout(6_000);
      const longestTask = await page.evaluate<number>('window.longest');
      site.says = { ...says, jobs: [{ ...job, state: 'done' }] };
      await page.waitForTimeout(3_000);
      const share = await busyShare(page, session, 10_000);
      site.says = says;
      emit({
        what: `10,000 rounds, 1,000 runners, 2,000 versions: ${screen}`,
        milliseconds: Math.round(milliseconds),
        longestTaskAfter: Math.round(longestTask),
        coreAtRest: share,
        target: { milliseconds: 1_000, longestTaskAfter: 100, coreAtRest: 0.03 },
      });
      await page.context().close();
    }
    await anHour(emit, browser, site);
  } finally {
    await site.stop();
  }
}

/** The share of a core that the page's main thread is busy. */
async function busyShare(page: Page, session: CDPSession, milliseconds: number): Promise<number> {
  await session.send('Performance.enable');
  const busy = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? 0;
    return { task: of('TaskDuration'), at: of('Timestamp') };
  };
  const before = await busy();
  await page.waitForTimeout(milliseconds);
  const after = await busy();
  return (after.task - before.task) / (after.at - before.at);
}

/** 3,600 questions with a new round every tenth, timers a hundred times as fast. */
async function anHour(emit: Emit, browser: Browser, site: Site): Promise<void> {
  const { says } = site;
  const [job] = says.jobs;
  if (!job) return;
  const { page, session } = await visitor(browser, 100);
  await page.goto(`${site.url}/#/jobs/${job.job}`);
  await page.waitForSelector('.table tbody tr:nth-child(5)');
  const asked = () => site.asked.get('/v1/jobs') ?? 0;
  const begun = asked();
  while (asked() < begun + 3_600) {
    site.says = { ...says, jobs: [{ ...job, round: job.round + Math.floor((asked() - begun) / 10) }] };
    await page.waitForTimeout(50);
  }
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  const nodes = await page.evaluate<number>(`document.querySelectorAll('*').length`);
  emit({
    what: 'heap after an hour of questions, 360 new rounds',
    megabytes: Math.round(usedSize / 1e5) / 10,
    elements: nodes,
    target: { megabytes: 60 },
  });
  site.says = says;
  await page.context().close();
}

async function verifying(emit: Emit, browser: Browser): Promise<void> {
  for (const [parameters, target] of [
    [1_663_370, 500],
    [25_000_000, 3_000],
  ] as const) {
    const site = await startSite(fewViews('done'));
    const version = anchoredModel(site, parameters);
    try {
      const times: number[] = [];
      const frames: number[] = [];
      for (let i = 0; i < 5; i++) {
        const { page } = await visitor(browser);
        await page.goto(`${site.url}/#/versions/${version}`);
        await page.waitForSelector('text=Check this version');
        await page.waitForTimeout(500);
        await page.evaluate(frameWatch);
        const began = performance.now();
        await page.click('text=Check this version');
        await page.waitForSelector('.verdict.true, .verdict.false', { timeout: 60_000 });
        times.push(performance.now() - began);
        const verdict = await page.locator('.verdict').first().innerText();
        if (!verdict.startsWith('True')) throw new Error(verdict);
        frames.push(await page.evaluate<number>('window.longestFrame'));
        await page.context().close();
      }
      emit({
        what: `verifying ${(4 * parameters) / 1e6} MB`,
        milliseconds: Math.round(median(times)),
        longestFrame: Math.round(median(frames)),
        target: { milliseconds: target, longestFrame: 50 },
      });
    } finally {
      await site.stop();
    }
  }
}

const frameWatch = `{
  window.longestFrame = 0;
  let before = performance.now();
  const frame = (at) => {
    window.longestFrame = Math.max(window.longestFrame, at - before);
    before = at;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame((at) => { before = at; requestAnimationFrame(frame); });
}`;
