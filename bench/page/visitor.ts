import type { Browser, CDPSession, Page } from 'playwright-core';

const desk = { viewport: { width: 1280, height: 900 }, locale: 'en-US' };

/** Marks when the first job's name or row appears, and keeps the longest task. */
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

/** Somebody who has never been here. @param faster the page's timers run so many times as fast */
export async function visitor(browser: Browser, faster = 1): Promise<{ page: Page; session: CDPSession }> {
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

/** Milliseconds from the navigation to the first data, by the page's own clock. */
export const firstDataAt = (page: Page): Promise<number> =>
  page.evaluate<number>(`performance.getEntriesByName('data')[0]?.startTime ?? performance.now()`);
