import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { pageHeaders } from '#services/pageFiles.js';
import { readBuiltPage } from '#cli/stack/builtPage.js';
import { distFile, projectRoot } from '#local/paths.js';

const folder = distFile('web');
const files = readdirSync(folder);
const content = (name: string) => readFileSync(join(folder, name));
const gzipped = (names: string[]) =>
  names.reduce((sum, name) => sum + gzipSync(content(name), { level: 9 }).length, 0);
const page = content('index.html').toString();
/** What the page names is fetched with it; the rest when somebody checks or acts. */
const isFirst = (name: string) => /\.(html|svg)$/.test(name) || page.includes(`"${name}"`);

test('the first load is at most 45 kB and all of it at most 120 kB, gzipped', () => {
  expect(files.filter(isFirst).length).toBeGreaterThanOrEqual(4);
  // Nothing that is fetched at once is missing among those.
  for (const name of files.filter((name) => isFirst(name) && name.endsWith('.js')))
    for (const [, imported = ''] of content(name)
      .toString()
      .matchAll(/from"\.\/([^"]+)"/g))
      expect([name, imported, isFirst(imported)]).toEqual([name, imported, true]);
  expect(gzipped(files.filter(isFirst))).toBeLessThanOrEqual(45_000);
  expect(gzipped(files)).toBeLessThanOrEqual(120_000);
});

test('the same sources give the same bytes, whose hash doctor shows', () => {
  const again = `dist/web-again-${process.pid}`;
  try {
    const script = `import('./scripts/build-web.mjs').then(({ buildWeb }) => buildWeb(${JSON.stringify(again)}))`;
    execFileSync(process.execPath, ['-e', script], { cwd: projectRoot, stdio: 'inherit' });
    const [first, second] = [readBuiltPage(folder), readBuiltPage(join(projectRoot, again))];
    expect(second).toEqual(first);
    expect(first.hash).toMatch(/^0x[0-9a-f]{64}$/);
  } finally {
    rmSync(join(projectRoot, again), { recursive: true, force: true });
  }
});

test('no schema library came in with the types', () => {
  for (const name of files) expect(content(name).toString()).not.toMatch(/ZodError|invalid_type/);
});

test('the page itself asks for the policy that the server sends, so that any host of files is as strict', () => {
  const html = content('index.html').toString();
  const asked = /Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1];
  // A page cannot forbid its own framing; only a header can.
  expect(asked).toBe(pageHeaders['content-security-policy'].replace("; frame-ancestors 'none'", ''));
  expect(html).not.toMatch(/<script(?![^>]*src=)|<style|\son\w+=/);
});
