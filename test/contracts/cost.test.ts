import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

test('docs/costs.md has the figures that contracts/cost.mjs makes of contracts/gas.json', async () => {
  const { costLines } = (await import(`${process.cwd()}/contracts/cost.mjs`)) as { costLines(): string[] };
  const written = new Set(readFileSync('docs/costs.md', 'utf8').split('\n').map(plain));
  const figures = costLines().filter((line) => line !== '' && !line.startsWith('| ---'));
  expect(figures.length).toBeGreaterThan(8);
  for (const line of figures) expect(written).toContain(plain(line));
});

/** Tables are written with aligned columns. */
function plain(line: string): string {
  return line.replaceAll(/ +/g, ' ').trim();
}
