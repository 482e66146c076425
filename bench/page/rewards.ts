import type { Browser } from 'playwright-core';
import { anchorRewards } from '#test/support/anchoredRewards.js';
import { nobody, startSite } from '#test/support/site.js';
import type { Emit } from '../main.js';
import { visitor } from './visitor.js';
import { frameWatch } from './verifying.js';

/** Recomputing years of rewards in the browser: 2,000 epochs of 1,000 runners. */
export async function rewards(emit: Emit, browser: Browser): Promise<void> {
  const site = await startSite(nobody);
  anchorRewards(site, { epochs: 2_000, accounts: 1_000 });
  try {
    const { page, session } = await visitor(browser);
    await page.goto(`${site.url}/#/rewards`);
    await page.waitForSelector('text=1 to 100 of 1,000');
    await page.evaluate('window.countTasksFrom = performance.now()');
    await page.evaluate(frameWatch);
    const began = performance.now();
    await page.click('text=Recompute all rewards here');
    await page.waitForSelector('.verdict.true, .verdict.false', { timeout: 1_200_000 });
    const seconds = (performance.now() - began) / 1_000;
    const verdict = await page.locator('.verdict').innerText();
    if (!verdict.startsWith('True')) throw new Error(verdict);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    emit({
      what: 'recomputing 2,000 epochs of 1,000 runners',
      seconds: Math.round(seconds),
      longestTask: Math.round(await page.evaluate<number>('window.longest')),
      longestFrame: Math.round(await page.evaluate<number>('window.longestFrame')),
      megabytes: Math.round(usedSize / 1e5) / 10,
      target: { longestTask: 100, megabytes: 60 },
    });
    await page.context().close();
  } finally {
    await site.stop();
  }
}
