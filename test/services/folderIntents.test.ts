import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { folderIntents } from '#services/folderIntents.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-intents-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the first line at a place stays, also when many write at once', async () => {
  const stores = Array.from({ length: 8 }, () => folderIntents(folder));
  const stands = await Promise.all(
    stores.map((store, i) => store.write('nonces/31337/0xab', '000000000001/0000', `line ${i}`)),
  );
  expect(new Set(stands).size).toBe(1);
  expect(await folderIntents(folder).read('nonces/31337/0xab', '000000000001/')).toEqual([stands[0]]);
  expect(readdirSync(join(folder, encodeURIComponent('nonces/31337/0xab')))).toHaveLength(1);
});

test('a book is read in order, knows its last place, and is empty before it is written', async () => {
  const store = folderIntents(folder);
  expect([await store.read('none', ''), await store.last('none')]).toEqual([[], null]);
  for (const place of ['000000000010/0000', '000000000002/0001', '000000000002/0000'])
    await store.write('nonces/1', place, place);
  expect(await store.read('nonces/1', '000000000002/')).toEqual(['000000000002/0000', '000000000002/0001']);
  expect(await store.last('nonces/1')).toBe('000000000010/0000');
});
