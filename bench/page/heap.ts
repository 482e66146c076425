import type { Browser, CDPSession, Page } from 'playwright-core';
import { manyViews } from '#test/support/manyViews.js';
import { startSite, type Answers, type Site } from '#test/support/site.js';
import type { Emit } from '../main.js';
import { large } from './muchData.js';
import { visitor } from './visitor.js';

/** The questions that a page asks in an hour while a job runs. */
const questions = 3_600;

/** An hour's questions with timers a hundred times as fast, and what is held after them. */
export const heapAfterAnHour = (emit: Emit, browser: Browser): Promise<void> =>
  lookAround(browser, 100, async ({ asked, used }) => {
    if (asked === questions) emit(line('heap after an hour of questions, 360 new rounds', await used()));
  });

/** The same in real time: a line a minute. */
export const heapInAnHour = (emit: Emit, browser: Browser): Promise<void> =>
  lookAround(browser, 1, async ({ asked, used }) => {
    if (asked % 60 === 0) emit(line(`heap after ${asked / 60} min of questions`, await used()));
  });

const line = (what: string, used: Used) => ({ what, ...used, target: { megabytes: 60 } });

interface Used {
  /** Of the page's thread, after its garbage was collected. */
  megabytes: number;
  elements: number;
}

interface Moment {
  asked: number;
  used: () => Promise<Used>;
}

/**
 * Somebody who leaves the page open on a job and now and then walks through every screen, while rounds and signs of
 * life of a thousand runners go on.
 * @param onQuestion called once for every question that the page has asked for the jobs
 */
async function lookAround(
  browser: Browser,
  faster: number,
  onQuestion: (moment: Moment) => Promise<void>,
): Promise<void> {
  const says = manyViews(large);
  const site = await startSite(says);
  const { page, session } = await visitor(browser, faster);
  try {
    const [job] = says.jobs;
    const home = `jobs/${job?.job ?? ''}`;
    await page.goto(`${site.url}/#/${home}`);
    await page.waitForSelector('.table tbody tr:nth-child(5)');
    const begun = site.asked.get('/v1/jobs') ?? 0;
    for (let asked = 1; asked <= questions; asked++) {
      while ((site.asked.get('/v1/jobs') ?? 0) < begun + asked) await page.waitForTimeout(200 / faster);
      site.says = later(says, asked);
      if (asked % 300 === 0) await walk(page, home);
      await onQuestion({ asked, used: () => usedBy(page, session) });
    }
  } finally {
    await page.context().close();
    await site.stop();
  }
}

/** A new round every tenth question, new signs of life with every second one. */
function later(says: Answers, asked: number): Site['says'] {
  const [job] = says.jobs;
  if (!job) return says;
  const even = asked - (asked % 2);
  const runners = says.runners.map((runner, i) => ({
    ...runner,
    seq: even,
    lastSeen: new Date(Date.now() - (i % 7) * 300).toISOString(),
  }));
  return { ...says, jobs: [{ ...job, round: job.round + Math.floor(asked / 10) }], runners };
}

async function walk(page: Page, home: string): Promise<void> {
  for (const view of ['', 'models', 'runners', 'rewards', 'stack', 'jobs', home]) {
    await page.evaluate(`location.hash = '#/${view}'`);
    await page.waitForSelector('main h1');
    await page.waitForTimeout(300);
  }
}

async function usedBy(page: Page, session: CDPSession): Promise<Used> {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  const elements = await page.evaluate<number>(`document.querySelectorAll('*').length`);
  return { megabytes: Math.round(usedSize / 1e5) / 10, elements };
}
