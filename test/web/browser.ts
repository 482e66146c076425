import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium, type Browser, type Page } from 'playwright-core';

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

export function openBrowser(executablePath: string): Promise<Browser> {
  // In a container Chromium's own sandbox needs rights that nobody has there.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds, each with the elements that it is about. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, failureSummary }) => target + ' ' + failureSummary).join(' | ')))`);
}
