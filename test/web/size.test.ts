import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { pageHeaders } from '#services/pageFiles.js';
import { distFile } from '#local/paths.js';

const folder = distFile('web');
const files = readdirSync(folder);
const content = (name: string) => readFileSync(join(folder, name));
const gzipped = (names: string[]) =>
  names.reduce((sum, name) => sum + gzipSync(content(name), { level: 9 }).length, 0);
const page = content('index.html').toString();
/** What the page names is fetched with it; the rest when somebody checks or acts. */
const isFirst = (name: string) => name === 'index.html' || page.includes(`"${name}"`);

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
