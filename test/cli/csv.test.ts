import { describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { readCsv, standardise } from '#cli/data/csv.js';
import { decodeDataset } from '#local/consortium/dataset.js';
import { type } from './person.js';

describe('a CSV file', () => {
  test('becomes samples in the order of its columns and labels in the order of their names', () => {
    const data = readCsv('a,kind,b\n1,south,2\n3,north,4.5\n', 'kind', 'table.csv');
    expect(data).toMatchObject({ shape: [2], classes: 2, features: ['a', 'b'], labels: ['north', 'south'] });
    expect([...data.x]).toEqual([1, 2, 3, 4.5]);
    expect([...data.y]).toEqual([1, 0]);
  });

  test('orders labels that are numbers as numbers', () => {
    expect(readCsv('x,y\n1,10\n1,9\n1,2\n', 'y', 't').labels).toEqual(['2', '9', '10']);
  });

  test('is read back whatever its fields hold', () => {
    const name = fc
      .string({ minLength: 1, maxLength: 8 })
      .map((text) => text.trim())
      .filter((text) => text !== '');
    // Minus zero is written as 0.
    const row = fc.tuple(
      fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
      name,
    );
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('\n', '\r\n'),
        (rows, end) => {
          const text = [
            '\uFEFFvalue,label',
            ...rows.map(([value, label]) => `${value},${quote(label)}`),
          ].join(end);
          const data = readCsv(text, 'label', 't');
          expect([...data.x]).toEqual(rows.map(([value]) => value));
          expect([...data.y].map((index) => data.labels[index])).toEqual(
            rows.map(([, label]) => label.replaceAll('\r\n', '\n')),
          );
        },
      ),
    );
  });

  test.each([
    ['no number', 'a,l\n1,x\ntwo,y\n', 'line 3, column a: expected a number, found "two"'],
    ['an empty field', 'a,l\n,x\n', 'line 2, column a: expected a number, found ""'],
    ['a number too large for float32', 'a,l\n1e39,x\n', 'expected a number'],
    ['a field too many', 'a,l\n1,x\n1,2,y\n', 'line 3: 3 fields, and the header has 2'],
    ['an open quote', 'a,l\n1,"x\n', 'a quoted field does not end'],
    ['no such label column', 'a,b\n1,2\n', 'has no column "l"; it has a, b'],
    ['no rows', 'a,l\n', 'has no data beside its labels'],
  ])('with %s is refused, naming the place', (_what, text, message) => {
    expect(() => readCsv(text, 'l', 'table.csv')).toThrow(message);
  });

  test('can be brought to mean 0 and deviation 1, and another by the same numbers', () => {
    const train = readCsv('a,b,l\n1,5,x\n3,5,y\n', 'l', 't');
    const scale = standardise(train);
    expect([...train.x]).toEqual([-1, 0, 1, 0]);
    const later = readCsv('a,b,l\n5,6,x\n', 'l', 't');
    standardise(later, scale);
    expect([...later.x]).toEqual([3, 1]);
  });
});

describe('roundtable data import', () => {
  test('writes a data set that the stack reads, and the scale beside it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'roundtable-csv-'));
    try {
      const csv = join(process.cwd(), 'examples/own-csv/flowers-train.csv');
      const seen = await type(
        [
          'data',
          'import',
          '--csv',
          csv,
          '--label',
          'kind',
          '--standardise',
          '--scale',
          'scale.json',
          '--out',
          'data/train.safetensors',
          '--json',
        ],
        { folder },
      );
      expect(seen.code).toBe(0);
      expect(seen.json()).toMatchObject({
        samples: 600,
        input: [4],
        classes: 3,
        labels: ['harbour', 'meadow', 'mountain'],
      });
      const data = decodeDataset(readFileSync(join(folder, 'data/train.safetensors')), 'it');
      expect([data.shape, data.classes, data.y.length, data.x.length]).toEqual([[4], 3, 600, 2400]);
      expect(data.x.reduce((sum, value) => sum + value, 0) / 2400).toBeCloseTo(0, 5);
      expect(JSON.parse(readFileSync(join(folder, 'scale.json'), 'utf8'))).toHaveProperty('mean.3');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('examples/own-csv', () => {
  test('is what its script writes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'roundtable-own-csv-'));
    try {
      execFileSync(process.execPath, ['scripts/make-csv-example.mjs', folder]);
      for (const name of ['flowers-train.csv', 'flowers-held-out.csv', 'mlp.onnx'])
        expect(readFileSync(join(folder, name)).equals(readFileSync(join('examples/own-csv', name)))).toBe(
          true,
        );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function quote(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
