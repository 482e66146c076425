import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { DataSets } from '#gpu-runner/dataSets.js';
import { writeData } from './data.js';
import { temporaryFolder } from './folder.js';

async function folderOf(): Promise<{ folder: string; sets: DataSets; mistakes: string[] }> {
  const folder = await temporaryFolder();
  const mistakes: string[] = [];
  return { folder, sets: new DataSets(folder, (mistake) => mistakes.push(mistake)), mistakes };
}

describe('data contracts are derived from the files', () => {
  test.each(['I64', 'I32', 'U8'] as const)(
    'samples, shape and classes of a file with %s labels',
    async (dtype) => {
      const { folder, sets } = await folderOf();
      await writeData(join(folder, 'digits.safetensors'), 30, {
        dtype,
        labels: Array.from({ length: 30 }, (_, i) => i % 7),
      });
      expect((await sets.list()).map(({ contract }) => contract)).toEqual([
        { name: 'digits', samples: 30, input: [4], classes: 7 },
      ]);
    },
  );

  test('metadata names the classes of data that lacks the last ones', async () => {
    const { folder, sets } = await folderOf();
    await writeData(join(folder, 'digits.safetensors'), 10, { metadata: { classes: '10' } });
    expect((await sets.find('digits'))?.contract.classes).toBe(10);
  });

  test('a changed file is read again', async () => {
    const { folder, sets } = await folderOf();
    const path = join(folder, 'digits.safetensors');
    await writeData(path, 10);
    await sets.list();
    await writeData(path, 12);
    await utimes(path, new Date(), new Date(Date.now() + 5_000));
    expect((await sets.find('digits'))?.contract.samples).toBe(12);
  });

  test('nothing is served under a name that has no file', async () => {
    const { sets } = await folderOf();
    expect(await sets.find('digits')).toBeNull();
  });
});

describe('a file that cannot be served is named once, with the reason, and the others still are', () => {
  const broken: [string, (path: string) => Promise<void>, RegExp][] = [
    ['cut short', (path) => writeFile(path, new Uint8Array([9, 0, 0, 0])), /ends 4 bytes early/],
    [
      'without a JSON header',
      (path) => writeFile(path, Buffer.from('\x03\0\0\0\0\0\0\0abc')),
      /header is not JSON/,
    ],
    ['with a huge header', (path) => writeFile(path, Buffer.alloc(8, 0xff)), /header claims/],
    ['without tensors', (path) => writeFile(path, Buffer.from('\x02\0\0\0\0\0\0\0{}')), /x: /],
    ['with a negative label', (path) => writeData(path, 3, { labels: [0, -1, 1] }), /label 1 is -1/],
    [
      'with too few classes declared',
      (path) => writeData(path, 4, { metadata: { classes: '1' } }),
      /declares 1 classes/,
    ],
    ['with one class only', (path) => writeData(path, 4, { labels: [0, 0, 0, 0] }), /classes/],
  ];
  test.each(broken)('%s', async (_, write, reason) => {
    const { folder, sets, mistakes } = await folderOf();
    await write(join(folder, 'broken.safetensors'));
    await writeData(join(folder, 'good.safetensors'), 4);
    for (let i = 0; i < 2; i++)
      expect((await sets.list()).map(({ contract }) => contract.name)).toEqual(['good']);
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toMatch(reason);
  });

  test('under a name that is none', async () => {
    const { folder, sets, mistakes } = await folderOf();
    await writeData(join(folder, 'Digits 2.safetensors'), 4);
    expect(await sets.list()).toEqual([]);
    expect(mistakes.join()).toMatch(/lower-case letters/);
  });
});
