import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { bytesOf } from '#core/bytes.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { DataSets } from '#gpu-runner/dataSets.js';
import { writeData } from './data.js';
import { temporaryFolder } from './folder.js';

async function folderOf(): Promise<{ folder: string; sets: DataSets; mistakes: string[] }> {
  const folder = await temporaryFolder();
  const mistakes: string[] = [];
  return { folder, sets: new DataSets(folder, (mistake) => mistakes.push(mistake)), mistakes };
}

const contractOf = async (
  tensors: { name: string; dtype: 'F32' | 'I32' | 'I64' | 'U8'; shape: number[]; data: ArrayBufferView }[],
  metadata: Record<string, string> = {},
) => {
  const { folder, sets, mistakes } = await folderOf();
  const bytes = tensors.map((tensor) => ({ ...tensor, data: bytesOf(tensor.data) }));
  await writeFile(join(folder, 'set.safetensors'), encodeSafetensors(bytes, metadata));
  return (await sets.find('set'))?.contract ?? mistakes;
};
const x = { name: 'x', dtype: 'F32', shape: [2, 3], data: new Float32Array(6) } as const;

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

  test('labels that are numbers have a shape and no classes', async () => {
    const y = { name: 'y', dtype: 'F32', shape: [2, 4], data: new Float32Array(8) } as const;
    expect(
      await contractOf([
        { ...x, shape: [2, 3] },
        { ...y, shape: [2, 4] },
      ]),
    ).toEqual({
      name: 'set',
      samples: 2,
      input: [3],
      labels: [4],
      classes: 0,
    });
  });

  test('a class for each place, of which the metadata has one ignored', async () => {
    const ids = Uint8Array.of(0, 255, 2, 1, 255, 0);
    const y = { name: 'y', dtype: 'U8' as const, shape: [2, 3], data: ids };
    const set = [{ ...x, shape: [2, 3] }, y];
    expect(await contractOf(set, { ignored: '255' })).toMatchObject({ labels: [3], classes: 3 });
    expect(await contractOf(set)).toMatchObject({ classes: 256 });
  });

  test('tokens without labels: as many classes as there are tokens', async () => {
    const ids = {
      name: 'x',
      dtype: 'I64' as const,
      shape: [2, 3],
      data: BigInt64Array.of(1n, 4n, 0n, 2n, 3n, 4n),
    };
    expect(await contractOf([ids])).toEqual({
      name: 'set',
      samples: 2,
      input: [3],
      labels: null,
      classes: 5,
    });
    expect(await contractOf([{ ...x, shape: [2, 3] }])).toEqual([expect.stringMatching(/no labels y/)]);
  });

  test('several inputs, by their names', async () => {
    const y = { name: 'y', dtype: 'I32' as const, shape: [2], data: Int32Array.of(0, 1) };
    const left = { ...x, name: 'x/left', shape: [2, 3] };
    const right = { ...x, name: 'x/right', shape: [2, 6], data: new Float32Array(12) };
    expect(await contractOf([left, right, y])).toMatchObject({
      input: { left: [3], right: [6] },
      classes: 2,
    });
    const short = { ...right, shape: [1, 12] };
    expect(await contractOf([left, short, y])).toEqual([expect.stringMatching(/2 and 1 samples/)]);
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
