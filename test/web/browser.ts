import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { LocalStack } from '#local/stack.js';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * A Chromium of this machine; null where there is none, and the tests say so and are skipped. Only on a CI
 * machine, as root, is Debian's installed.
 */
export function findChromium(): string | null {
  const given = process.env['CHROMIUM_PATH'];
  const here = () => [given, ...places].find((path) => path !== undefined && existsSync(path)) ?? null;
  const found = here();
  if (found !== null) return found;
  if (process.env['CI'] === 'true' && process.getuid?.() === 0) {
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { stdio: 'inherit' });
    return here();
  }
  process.stderr.write(
    'The page is not tested: there is no Chromium here. Install one (apt-get install chromium) or set CHROMIUM_PATH.\n',
  );
  return null;
}

export function openBrowser(executablePath: string, args: readonly string[] = []): Promise<Browser> {
  // In a container Chromium's own sandbox needs rights that nobody has there.
  const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args: [...asRoot, ...args] });
}

/** As people look at the page: what a test is called for it, and the window. */
export const looks: [string, BrowserContextOptions][] = [
  ['in light', { colorScheme: 'light', viewport: { width: 1280, height: 900 } }],
  ['in dark', { colorScheme: 'dark', viewport: { width: 1280, height: 900 } }],
  ['on a phone', { colorScheme: 'light', viewport: { width: 320, height: 640 } }],
];

/** Pixels by which the page is wider than its window. */
export const widthBeyond = (page: Page): Promise<number> =>
  page.evaluate('Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)');

/** All that the page of a stack asks. */
export const friendsOf = ({ file }: LocalStack): string[] => [file.api, file.gateway, file.chain.rpcUrl];

/** Adds what the page complains of: violations of its policy, exceptions, requests to others than its friends. */
export function watched(page: Page, complaints: string[], friends: readonly string[]): Page {
  page.on('pageerror', (error) => void complaints.push(`threw: ${error.message}`));
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!/^(blob:|about:blank$)/.test(url) && !friends.some((friend) => url.startsWith(friend)))
      complaints.push(`asked ${url}`);
  });
  return page;
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds, each with the elements that it is about. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, failureSummary }) => target + ' ' + failureSummary).join(' | ')))`);
}
