import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { recordedAt, startRecordedSites, type RecordedSites } from '../support/recordedSites.js';
import { findChromium, openBrowser } from './browser.js';
import { comparePicture, differenceOf } from './picture.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;

const origins = {
  running: 'http://running.localhost',
  anchored: 'http://anchored.localhost',
  rewarded: 'http://rewarded.localhost',
};
let sites: RecordedSites;
let browser: Browser;

interface Screen {
  of: keyof typeof origins;
  view: () => string;
  /** What is done before the picture is taken. */
  first?: (page: Page) => Promise<void>;
}

const job = () => sites.running.says.jobs[0]?.job ?? '';
const screens: Record<string, Screen> = {
  overview: { of: 'running', view: () => '' },
  jobs: { of: 'running', view: () => 'jobs' },
  job: {
    of: 'running',
    view: () => `jobs/${job()}`,
    first: async (page) => void (await page.waitForSelector('text=Rounds could not be checked')),
  },
  receipt: {
    of: 'running',
    view: () => `jobs/${job()}/rounds/3`,
    first: async (page) => void (await page.waitForSelector('text=Rounds could not be checked')),
  },
  models: { of: 'running', view: () => 'models' },
  model: {
    of: 'anchored',
    view: () => `versions/${sites.anchored.version}`,
    first: async (page) => {
      await page.waitForSelector('[aria-label="Digits drawn already"]');
      await page.click('text=Check this version');
      await page.waitForSelector('.verdict.true');
    },
  },
  runners: {
    of: 'running',
    view: () => 'runners',
    first: async (page) => void (await page.waitForSelector('td:has-text("103")')),
  },
  rewards: {
    of: 'rewarded',
    view: () => 'rewards',
    first: async (page) => {
      await page.waitForSelector('td:has-text("closed")');
      await page.click('text=Recompute all rewards here');
      await page.waitForSelector('.verdict.true');
    },
  },
  stack: {
    of: 'running',
    view: () => 'stack',
    first: async (page) => {
      await page.waitForSelector('text=height 1,604,211');
      await page.waitForSelector('text=1 gwei');
    },
  },
  mine: {
    of: 'rewarded',
    view: () => 'mine',
    first: async (page) => void (await page.waitForSelector('text=Paid on chain')),
  },
};

const looks: Record<string, BrowserContextOptions> = {
  'desktop-light': { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  'desktop-dark': { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
};

/** `RECORD_PICTURES=1 npm run jest -- test/web/reference` takes them anew; look at each before it is committed. */
withBrowser('each screen looks as it did', () => {
  beforeAll(async () => {
    sites = await startRecordedSites(origins);
    const rules = Object.entries(origins).map(([name, origin]) => {
      const { host } = new URL(sites[name as keyof typeof origins].url);
      return `MAP ${new URL(origin).hostname}:80 ${host}`;
    });
    browser = await openBrowser(chromium ?? '', [`--host-resolver-rules=${rules.join(', ')}`]);
  });
  afterAll(async () => {
    await browser?.close();
    await sites?.stop();
  });

  test.each(Object.keys(looks))(
    '%s',
    async (look) => {
      const wrong: (string | null)[] = [];
      for (const name of Object.keys(screens)) {
        const page = await show(name, look);
        wrong.push(comparePicture(`${name}-${look}`, await take(page)));
        await page.context().close();
      }
      expect(wrong.filter((words) => words !== null)).toEqual([]);
    },
    180_000,
  );

  const changes: [what: string, screen: string, script: string][] = [
    ['a table that is lost', 'jobs', `document.querySelector('.table').remove()`],
    [
      'a column that is lost',
      'runners',
      `document.querySelectorAll('tr > :nth-child(2)').forEach((cell) => cell.remove())`,
    ],
    ['a section that is lost', 'runners', `document.querySelectorAll('section')[1].remove()`],
    ['a chart without its line', 'job', `document.querySelectorAll('.charts').forEach((at) => at.remove())`],
    ['text in one column too narrow', 'jobs', `document.querySelector('main').style.maxWidth = '40rem'`],
    [
      'a style sheet that did not come',
      'overview',
      `document.querySelector('link[rel=stylesheet]').remove()`,
    ],
    [
      'colours that are another’s',
      'overview',
      `document.documentElement.style.setProperty('--teal', '#c03')`,
    ],
    [
      'a raised ground for the receipt',
      'receipt',
      `document.querySelector('.receipt').style.background = '#e8d9c0'`,
    ],
  ];
  test('a change that people see is noticed, each of these', async () => {
    const unnoticed: string[] = [];
    for (const [what, screen, script] of changes) {
      const page = await show(screen, 'desktop-light');
      const before = await take(page);
      await page.evaluate(script);
      const after = await take(page);
      if (differenceOf(PNG.sync.read(before), PNG.sync.read(after)) === null) unnoticed.push(what);
      await page.context().close();
    }
    expect(unnoticed).toEqual([]);
  }, 180_000);

  test('letters that are smoothed otherwise are not', async () => {
    const other = await openBrowser(chromium ?? '', [
      '--font-render-hinting=none',
      '--disable-lcd-text',
      '--disable-font-subpixel-positioning',
      `--host-resolver-rules=MAP running.localhost:80 ${new URL(sites.running.url).host}`,
    ]);
    try {
      const pages = await Promise.all([show('job', 'desktop-light'), show('job', 'desktop-light', other)]);
      const [mine, theirs] = await Promise.all(pages.map(take));
      if (!mine || !theirs) throw new Error('there are no pictures');
      expect(mine.equals(theirs)).toBe(false);
      expect(differenceOf(PNG.sync.read(mine), PNG.sync.read(theirs))).toBeNull();
    } finally {
      await other.close();
    }
  }, 120_000);

  test('there are no others, and all of them are less than 3 MB', () => {
    const folder = fileURLToPath(new URL('./reference/', import.meta.url));
    const wanted = Object.keys(screens).flatMap((name) =>
      Object.keys(looks).map((look) => `${name}-${look}.png`),
    );
    const there = readdirSync(folder);
    expect(there.toSorted()).toEqual(wanted.toSorted());
    const bytes = there.reduce((sum, name) => sum + statSync(`${folder}${name}`).size, 0);
    expect(bytes).toBeLessThan(3_000_000);
  });
});

async function show(name: string, look: string, by = browser): Promise<Page> {
  const screen = screens[name];
  if (!screen) throw new Error(`there is no screen ${name}`);
  const context = await by.newContext({
    locale: 'en-US',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
    ...looks[look],
  });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  await page.clock.setFixedTime(recordedAt);
  await page.goto(`${origins[screen.of]}/#/${screen.view()}`);
  await page.waitForSelector('main h1');
  await page.waitForFunction(() => !document.body.innerText.includes('Loading'));
  await screen.first?.(page);
  return page;
}

/** How long something took is another number every time. */
const settleTimes = `for (const at of document.querySelectorAll('.verdict, [aria-label="Parts"] td.right'))
  for (const text of at.childNodes)
    text.nodeValue = String(text.nodeValue).replace(/\\d+(\\.\\d+)? m?s\\b/, '9 ms')`;

async function take(page: Page): Promise<Buffer> {
  await page.evaluate(settleTimes);
  await page.evaluate('document.fonts.ready');
  return page.screenshot({ fullPage: true, animations: 'disabled' });
}
