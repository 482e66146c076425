import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'node:http';
import type { BrowserContextOptions } from 'playwright-core';
import { serveOwnerPage, type OwnerPage } from '#cli/runner/page.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { distFile } from '#local/paths.js';
import { axeViolations, friendsOf, looks, watched } from '../browser.js';
import type { LookedAt } from '../lookedAt.js';

/** A runner's own page, beside a stack at which the runner has trained. */
export function owningTests(at: () => LookedAt): void {
  describe('who owns a runner', () => {
    let own: OwnerPage;
    const stop = new AbortController();
    beforeAll(async () => {
      const home = await readRunnerHome(at().stack.file.runners[0]?.home ?? '');
      own = await serveOwnerPage(home, distFile('runner/web'), stop.signal);
    });
    afterAll(async () => {
      stop.abort();
      await own?.close();
    });

    test.each<[string, BrowserContextOptions]>(looks)(
      'sees %s what was asked, sent and refused, and what the chain paid',
      async (_, options) => {
        const context = await at().browser.newContext(options);
        const page = watched(await context.newPage(), at().complaints, [
          ...friendsOf(at().stack),
          new URL(own.url).origin,
        ]);
        await page.goto(own.url);
        await page.waitForSelector('h2:has-text("What was asked, sent and refused")');
        await page.waitForSelector('.checked.true:has-text("records follow from each other")');
        expect(page.url()).not.toContain(own.url.split('/').at(-1));
        const text = await page.locator('main').innerText();
        expect(text).toMatch(/an update from \d+ samples, [\d,]+ bytes, sealed/);
        expect(text).toContain('registered');
        await page.waitForSelector('text=Paid on chain, by all payers');
        expect(await axeViolations(page)).toEqual([]);
        await page.click('nav >> text=Jobs');
        await page.waitForSelector('text=acted-upon');
        await context.close();
      },
      60_000,
    );

    test('shows it to nobody else: not without the token, not under another name', async () => {
      const { origin } = new URL(own.url);
      expect((await fetch(`${origin}/mine/decisions`)).status).toBe(401);
      const wrong = { authorization: `Bearer ${'A'.repeat(43)}` };
      expect((await fetch(`${origin}/mine/status`, { headers: wrong })).status).toBe(401);
      expect(await statusUnder(origin, 'rebound.example')).toBe(421);
    });
  });
}

/** fetch sets the host itself. */
function statusUnder(origin: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${origin}/`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
