import type { Browser, CDPSession, Page } from 'playwright-core';
import { manyViews } from '#test/support/manyViews.js';
import { startSite } from '#test/support/site.js';
import type { Emit } from '../main.js';
import { firstDataAt, visitor } from './visitor.js';

export const large = { rounds: 10_000, runners: 1_000, versions: 2_000, asked: 64 };

/** What a large and old stack costs: the first data, the longest task after it, the share of a core at rest. */
export async function muchData(emit: Emit, browser: Browser): Promise<void> {
  const says = manyViews(large);
  const site = await startSite(says);
  const [job] = says.jobs;
  if (!job) return;
  const views = { overview: '', job: `jobs/${job.job}`, runners: 'runners', models: 'models' };
  try {
    for (const [screen, view] of Object.entries(views)) {
      const { page, session } = await visitor(browser);
      await page.goto(`${site.url}/#/${view}`, { waitUntil: 'commit' });
      await page.waitForSelector('.table tbody tr:nth-child(5)');
      const milliseconds = await firstDataAt(page);
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
        coreAtRest: Math.round(share * 10_000) / 10_000,
        target: { milliseconds: 1_000, longestTaskAfter: 100, coreAtRest: 0.03 },
      });
      await page.context().close();
    }
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
