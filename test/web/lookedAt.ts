import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Wallet } from 'ethers';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { readWallet, type Api } from '#cli/api.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { few } from '../support/digits.js';
import { apiOf, untilEnrolled } from '../support/stackApi.js';
import { friendsOf, openBrowser, watched } from './browser.js';
import { injectWallet, type InjectedWallet } from './wallet.js';

/** A real stack that somebody looks at. */
export interface LookedAt {
  stack: LocalStack;
  api: Api;
  browser: Browser;
  /** What its pages complained of. */
  complaints: string[];
  /** A page of a visitor of its own. */
  open(view: string, options?: BrowserContextOptions): Promise<Page>;
  /** The same with a wallet in the browser: the coordinator's, unless it is another's. */
  openWithWallet(
    view: string,
    wallet?: { chainId?: number; account?: string; wallet?: Wallet },
    options?: BrowserContextOptions,
  ): Promise<{ page: Page; wallet: InjectedWallet }>;
  stop(): Promise<void>;
}

/** anvil's. */
export const chainId = 31_337;

/** The demo's four runners, with so many digits between them, and a Chromium beside them. */
export async function startLookedAt(chromium: string, samples: number): Promise<LookedAt> {
  const stateDir = mkdtempSync(join(tmpdir(), 'roundtable-page-'));
  const stack = await startStack({ stateDir, data: [{ name: 'digits', load: () => few(samples) }] });
  const browser = await openBrowser(chromium);
  const api = apiOf(stack);
  await untilEnrolled(api, stack);
  const complaints: string[] = [];
  const visit = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext({ locale: 'en-US', ...options });
    return watched(await context.newPage(), complaints, friendsOf(stack));
  };
  return {
    stack,
    api,
    browser,
    complaints,
    async open(view, options) {
      const page = await visit(options);
      await page.goto(`${stack.file.api}/#/${view}`);
      return page;
    },
    async openWithWallet(view, as, options) {
      const page = await visit(options);
      const member = readWallet(stack.file.keys.coordinator);
      const { rpcUrl } = stack.file.chain;
      const wallet = await injectWallet(page, { wallet: member, rpcUrl, chainId, ...as });
      await page.goto(`${stack.file.api}/#/${view}`);
      return { page, wallet };
    },
    async stop() {
      await browser.close();
      await stack.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** The words of a check's outcome, once there is one. */
export async function verdict(page: Page): Promise<string> {
  const found = page.locator('.verdict.true, .verdict.false');
  await found.waitFor();
  return found.innerText();
}

/** Another one: its last digit is not what it was. */
export function flipped<T extends string>(hex: T): T {
  return `${hex.slice(0, -1)}${hex.endsWith('0') ? '1' : '0'}` as T;
}
