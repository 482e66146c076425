import type { Browser } from 'playwright-core';
import { findChromium, openBrowser } from '#test/web/browser.js';
import type { Emit } from './main.js';
import { changesOnScreen } from './page/changesOnScreen.js';
import { firstData } from './page/firstData.js';
import { heapAfterAnHour, heapInAnHour } from './page/heap.js';
import { muchData } from './page/muchData.js';
import { rewards } from './page/rewards.js';
import { verifying } from './page/verifying.js';

const parts: Record<string, (emit: Emit, browser: Browser) => Promise<void>> = {
  first: firstData,
  much: muchData,
  heap: heapAfterAnHour,
  verifying,
  rewards,
  changes: changesOnScreen,
};

/** An hour long, so only when it is asked for. */
const hour = { hour: heapInAnHour };

/**
 * The page in this machine's Chromium: how soon it shows data, what much data costs it, how fast it verifies.
 * `npm run bench -- page [PART…]`; without a part all of them but `hour`.
 */
export async function run(emit: Emit, args: readonly string[]): Promise<void> {
  const all = { ...parts, ...hour };
  const unknown = args.filter((name) => !Object.hasOwn(all, name));
  if (unknown.length > 0)
    throw new Error(
      `The page has no figure ${unknown.join(', ')}. There are: ${Object.keys(all).join(', ')}.`,
    );
  const chromium = findChromium();
  if (chromium === null) return;
  const browser = await openBrowser(chromium);
  try {
    for (const [name, measure] of Object.entries(all))
      if (args.includes(name) || (args.length === 0 && Object.hasOwn(parts, name)))
        await measure(emit, browser);
  } finally {
    await browser.close();
  }
}
