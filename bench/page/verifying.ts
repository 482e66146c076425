import type { Browser } from 'playwright-core';
import { fewViews } from '#test/support/fewViews.js';
import { startSite } from '#test/support/site.js';
import type { Emit } from '../main.js';
import { median } from '../measure.js';
import { anchoredModel } from '#test/support/anchoredModel.js';
import { visitor } from './visitor.js';

const repetitions = 5;

/** From the click to the verdict, for two sizes of model, and what the page's own frames lose by it. */
export async function verifying(emit: Emit, browser: Browser): Promise<void> {
  for (const [parameters, target] of [
    [1_663_370, 500],
    [25_000_000, 3_000],
  ] as const) {
    const site = await startSite(fewViews('done'));
    const version = anchoredModel(site, parameters);
    try {
      const times: number[] = [];
      const frames: number[] = [];
      for (let i = 0; i < repetitions; i++) {
        const { page } = await visitor(browser);
        await page.goto(`${site.url}/#/versions/${version}`);
        await page.waitForSelector('text=Check this version');
        await page.waitForTimeout(500);
        await page.evaluate(frameWatch);
        const milliseconds = await page.evaluate<number>(clickToVerdict);
        times.push(milliseconds);
        const verdict = await page.locator('.verdict').first().innerText();
        if (!verdict.startsWith('True')) throw new Error(verdict);
        frames.push(await page.evaluate<number>('window.longestFrame'));
        await page.context().close();
      }
      emit({
        what: `verifying ${(4 * parameters) / 1e6} MB`,
        milliseconds: Math.round(median(times)),
        slowest: Math.round(Math.max(...times)),
        longestFrame: Math.round(median(frames)),
        worstFrame: Math.round(Math.max(...frames)),
        target: { milliseconds: target, longestFrame: 50 },
      });
    } finally {
      await site.stop();
    }
  }
}

/** By the page's own clock: the driver's questions to the browser take time as well. */
const clickToVerdict = `new Promise((resolve) => {
  const button = [...document.querySelectorAll('button')].find((at) => at.textContent === 'Check this version');
  const began = performance.now();
  new MutationObserver((_, observer) => {
    if (!document.querySelector('.verdict.true, .verdict.false')) return;
    observer.disconnect();
    resolve(performance.now() - began);
  }).observe(document.body, { childList: true, subtree: true, attributes: true });
  button.click();
})`;

/** Keeps the longest time between two frames in `window.longestFrame`. */
export const frameWatch = `{
  window.longestFrame = 0;
  let before = performance.now();
  const frame = (at) => {
    window.longestFrame = Math.max(window.longestFrame, at - before);
    before = at;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame((at) => { before = at; requestAnimationFrame(frame); });
}`;
