import type { Browser, CDPSession } from 'playwright-core';
import { fewViews } from '#test/support/fewViews.js';
import { startSite } from '#test/support/site.js';
import type { Emit } from '../main.js';
import { median } from '../measure.js';
import { firstDataAt, visitor } from './visitor.js';

const repetitions = 7;

/** How soon a small consortium's page shows data, here and on a slow telephone. */
export async function firstData(emit: Emit, browser: Browser): Promise<void> {
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
        shown.push(await firstDataAt(page));
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

const largestPaint = `new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
  .observe({ type: 'largest-contentful-paint', buffered: true }))`;

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
