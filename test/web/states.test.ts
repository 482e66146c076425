import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { fewViews } from '../support/fewViews.js';
import { ownersPage } from '../support/recordedSites.js';
import { nobody, startSite, type Answers, type Site } from '../support/site.js';
import { axeViolations, findChromium, openBrowser } from './browser.js';

const chromium = findChromium();
const withBrowser = chromium === null ? describe.skip : describe;
/** Every state, for people to look at; reference.test.ts compares one of each screen. */
const pictures = fileURLToPath(new URL('./pictures', import.meta.url));

let site: Site;
let browser: Browser;
const running = fewViews('running');
const job = running.jobs[0]?.job ?? '';

const screens: Record<string, string> = {
  overview: '',
  jobs: 'jobs',
  job: `jobs/${job}`,
  receipt: `jobs/${job}/rounds/3`,
  models: 'models',
  version: `versions/${running.versions.at(-1)?.model.versionId ?? ''}`,
  runners: 'runners',
  rewards: 'rewards',
  stack: 'stack',
  mine: 'mine',
};

interface State {
  says: Answers;
  api: Site['api'] | 'offline';
  /** What each screen says in this state. */
  shows: RegExp;
}

const states: Record<string, State> = {
  running: { says: running, api: 'answers', shows: /./ },
  finished: { says: fewViews('done'), api: 'answers', shows: /./ },
  empty: {
    says: nobody,
    api: 'answers',
    shows: /No |no such|none|does not know|once|will|Parts|Not known|asked/,
  },
  loading: { says: running, api: 'slow', shows: /Loading|Parts/ },
  error: { says: running, api: 'broken', shows: /does not answer/ },
  offline: { says: running, api: 'offline', shows: /does not answer/ },
};

withBrowser('the page in every state', () => {
  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    site = await startSite(nobody, { mine: ownersPage(Date.now()) });
    browser = await openBrowser(chromium ?? '');
  });
  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  const cases = Object.keys(states).flatMap((name) => [[name, 'light'] as const, [name, 'dark'] as const]);
  test.each(cases)(
    '%s, %s: each screen says what it is, axe finds nothing, nothing is wider than the window',
    async (name, colorScheme) => {
      const state = states[name];
      if (!state) throw new Error('no such state');
      const page = await open({ colorScheme, viewport: { width: 1280, height: 900 } }, state);
      for (const [screen, view] of Object.entries(screens)) {
        await look(page, view, state);
        expect([screen, await page.locator('body').innerText()]).toEqual([
          screen,
          expect.stringMatching(state.shows),
        ]);
        await page.screenshot({
          path: join(pictures, `${screen}-${name}-${colorScheme}.png`),
          fullPage: true,
        });
        // What says that there is nothing has the same colours everywhere.
        await isSound(page, screen, colorScheme === 'light' || name === 'running');
      }
      site.api = 'answers';
      await page.context().close();
    },
    30_000,
  );

  const looks: [name: string, options: BrowserContextOptions, text: string][] = [
    ['320 px', { viewport: { width: 320, height: 640 } }, '100%'],
    ['768 px', { viewport: { width: 768, height: 1024 } }, '100%'],
    ['2,560 px', { viewport: { width: 2560, height: 1440 } }, '100%'],
    ['text at 200%', { viewport: { width: 1280, height: 900 } }, '200%'],
    ['a phone with text at 200%', { viewport: { width: 390, height: 844 } }, '200%'],
    ['forced colours', { viewport: { width: 1280, height: 900 }, forcedColors: 'active' }, '100%'],
    ['reduced motion', { viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' }, '100%'],
  ];
  test.each(looks)(
    'with %s nothing is cut off and axe finds nothing',
    async (name, options, text) => {
      const state: State = { says: running, api: 'answers', shows: /./ };
      const page = await open(options, state);
      for (const [screen, view] of Object.entries(screens)) {
        await look(page, view, state);
        await page.evaluate(`document.documentElement.style.fontSize = '${text}'`);
        const file = `${screen}-${name.replace(/[^\w]+/g, '-')}.png`;
        await page.screenshot({ path: join(pictures, file), fullPage: true });
        await isSound(page, screen, true);
      }
      await page.context().close();
    },
    60_000,
  );

  test('with reduced motion nothing moves', async () => {
    const page = await open({ reducedMotion: 'reduce' }, { says: running, api: 'answers', shows: /./ });
    await look(page, `jobs/${job}`, { says: running, api: 'answers', shows: /./ });
    expect(await page.evaluate('document.getAnimations().length')).toBe(0);
    await page.context().close();
  });

  test('a round that is done arrives with a highlight and one sentence for those who listen', async () => {
    const state: State = { says: running, api: 'answers', shows: /./ };
    const page = await open({}, state);
    await look(page, `jobs/${job}`, state);
    const next = fewViews('running', 6);
    site.says = next;
    await page.waitForSelector('tr.fresh');
    const sentence = await page.locator('main [aria-live="polite"]').first().innerText();
    expect(sentence).toMatch(/^Round 6 is done: accuracy [\d.]+%, (nobody|\d+) missing\.$/);
    expect(await page.evaluate('document.getAnimations().length')).toBeGreaterThan(0);
    await page.context().close();
  });

  test('everything that can be clicked is reached by the Tab key, with a visible focus', async () => {
    const state: State = { says: running, api: 'answers', shows: /./ };
    for (const view of [`jobs/${job}/rounds/3`, 'rewards', 'stack', 'models']) {
      const page = await open({}, state);
      await look(page, view, state);
      const clickable = 'a[href], button:not(:disabled), input, summary, [tabindex="0"]';
      const all = await page.locator(clickable).filter({ visible: true }).count();
      const seen = new Set<string>();
      for (let i = 0; i < all + 5; i++) {
        await page.keyboard.press('Tab');
        const [id, outlined] = (await page.evaluate(`(() => {
          const at = document.activeElement;
          at.dataset.seen ??= String(Math.random());
          return [at === document.body ? '' : at.dataset.seen, getComputedStyle(at).outlineStyle !== 'none'];
        })()`)) as [string, boolean];
        if (id === '') break;
        seen.add(id);
        expect([view, i, outlined]).toEqual([view, i, true]);
      }
      // The skip link is off the window until it has the focus.
      expect([view, seen.size]).toEqual([view, all]);
      await page.context().close();
    }
  }, 40_000);

  test('every table is CSV and JSON, every chart has its table, every screen names its command', async () => {
    const state: State = { says: running, api: 'answers', shows: /./ };
    const page = await open({}, state);
    for (const [screen, view] of Object.entries(screens)) {
      await look(page, view, state);
      expect([screen, await page.locator('.command').count()]).not.toEqual([screen, 0]);
      const charts = await page.locator('.chart').count();
      expect([screen, await page.locator('.chart details table').count()]).toEqual([screen, charts]);
      expect([screen, await page.locator('.chart .files').count()]).toEqual([screen, charts]);
      if (screen === 'overview') continue; // Its tables are those of other screens, in brief.
      const tables = await page.locator('.table').count();
      expect([screen, await page.locator('.table .files button:text("JSON")').count()]).toEqual([
        screen,
        tables,
      ]);
    }
    await page.context().close();
  });

  test('the API comes back: what was stale is fresh again', async () => {
    const state: State = { says: running, api: 'answers', shows: /./ };
    const page = await open({}, state);
    await look(page, `jobs/${job}`, state);
    site.api = 'broken';
    await page.waitForSelector('.stale:has-text("What is shown is stale")', { timeout: 15_000 });
    site.api = 'answers';
    await page.waitForSelector('.stale', { state: 'detached', timeout: 15_000 });
    await page.context().close();
  }, 60_000);

  test('an API that hangs is called late, and its data stale, after five seconds', async () => {
    const state: State = { says: running, api: 'answers', shows: /./ };
    const page = await open({}, state);
    await look(page, `jobs/${job}`, state);
    site.api = 'slow';
    await page.waitForSelector('.stale:has-text("What is shown is stale")', { timeout: 15_000 });
    site.api = 'answers';
    await page.context().close();
  }, 60_000);

  const hostile = [
    '<img src=x onerror="document.title=1">',
    '<script>document.title=1</script>',
    '"><svg onload=document.title=1>',
    "';document.title=1;//",
    'javascript:document.title=1',
    '{{constructor.constructor("document.title=1")()}}',
    '\u202e<b>right to left</b>',
    '</script><script>document.title=1</script>',
    '<a href="javascript:document.title=1">x</a>',
    '&lt;img src=x onerror=document.title=1&gt;',
  ];
  test('whatever anybody is called, it is text', async () => {
    for (let at = 0; at < hostile.length; at += 4) {
      const names = hostile.slice(at, at + 4);
      const state: State = { says: fewViews('running', 5, names), api: 'answers', shows: /./ };
      const page = await open({}, state);
      for (const view of Object.values(screens)) {
        await look(page, view, state);
        const made = 'main img, main script, main b, main a[href^="javascript"], main svg[onload]';
        expect([names, view, await page.locator(made).count()]).toEqual([names, view, 0]);
        expect(await page.title()).not.toBe('1');
      }
      await page.goto(`${site.url}/#/runners`);
      await page.waitForSelector('td strong');
      const shown = await page.locator('td strong').allTextContents();
      expect(shown.slice(0, names.length)).toEqual(names);
      await page.context().close();
    }
  });
});

async function open(options: BrowserContextOptions, { says, api }: State): Promise<Page> {
  const context = await browser.newContext({ locale: 'en-US', ...options });
  // Below the test's own time, so that what was waited for is named.
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  if (api === 'offline') {
    await page.route('**/v1/**', (route) => route.abort());
    await page.route('**/health', (route) => route.abort());
  }
  site.says = says;
  site.api = api === 'offline' ? 'answers' : api;
  return page;
}

/** Goes to a view, and waits until it says something. */
async function look(page: Page, view: string, { api }: State): Promise<void> {
  await page.goto(`${site.url}/#/${view}`);
  await page.waitForSelector('main h1');
  if (api === 'answers') await page.waitForFunction(() => !document.body.innerText.includes('Loading'));
}

async function isSound(page: Page, screen: string, withAxe: boolean): Promise<void> {
  if (withAxe) expect([screen, await axeViolations(page)]).toEqual([screen, []]);
  const beyond = await page.evaluate(`(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const reaches = (element) => element.getBoundingClientRect().right > clientWidth + 0.5;
    return [...document.body.querySelectorAll('*')]
      .filter((element) => reaches(element) && ![...element.children].some(reaches) && !element.closest('.scroll'))
      .map((element) => element.tagName + '.' + element.className + ': ' + element.textContent.slice(0, 60));
  })()`);
  expect([screen, 'wider than the window', beyond]).toEqual([screen, 'wider than the window', []]);
}
