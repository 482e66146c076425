import { describe, expect, test } from '@jest/globals';
import type { LineageVersion } from '#audit/index.js';
import { entriesOfRecord, lineageLines } from '#cli/report/lineage.js';
import { lineageSvg } from '#cli/report/lineageSvg.js';
import { width } from '#cli/terminal/text.js';
import type { Theme } from '#cli/terminal/theme.js';

const theme = (columns: number, more: Partial<Theme> = {}): Theme => ({
  color: false,
  unicode: true,
  columns,
  ...more,
});
const hex = (n: number, bytes: number): `0x${string}` =>
  `0x${n
    .toString(16)
    .padStart(2, '0')
    .repeat(bytes)
    .slice(0, 2 * bytes)}`;

/** A version of job `job`; without a parent given, of the round before. */
function version(job: number, round: number, more: Partial<LineageVersion> = {}): LineageVersion {
  return {
    id: `${job}/${round}`,
    parent: round === 0 ? null : `${job}/${round - 1}`,
    lineage: 'digits',
    number: round,
    version: hex(16 * job + round, 32),
    job: hex(job, 32),
    round,
    coordinator: hex(0xc0, 20),
    state: 'final',
    at: `2026-11-22T1${job}:${String(round % 60).padStart(2, '0')}:00.000Z`,
    accuracy: round === 0 ? null : 0.5 + round / 1000,
    contributors: round === 0 ? [] : [hex(1, 20), hex(2, 20), hex(3, 20)],
    archive: {
      manifest: `manifest${job}-${round}`.padEnd(43, 'x'),
      model: `model${job}-${round}`.padEnd(43, 'y'),
      state: null,
    },
    ...more,
  };
}

/** A line of four, a job that goes on from its second version, and a round that was declared void. */
const tree = [
  ...[0, 1, 2, 3].map((round) => version(1, round)),
  version(1, 4, { id: '1/4/99', state: 'void', at: null }),
  version(2, 0, { parent: '1/1', number: 1 }),
  version(2, 1, { number: 2, state: 'disputable' }),
];

const lines = (columns: number, more: Partial<Theme> = {}) =>
  lineageLines(theme(columns, more), entriesOfRecord(tree));

describe('the tree as text', () => {
  test('has the line of the newest version that stands leftmost, forks and void rounds beside it', () => {
    expect(lines(120).map((line) => line.slice(0, 12).trimEnd())).toEqual([
      '  ╭─✗ 4  0x1',
      '  ● 3  0x131',
      '  │ ● 2  0x2',
      '  ● │ 2  0x1',
      '  ├─○ 1  0x2',
      '  ● 1  0x111',
      '  ○ 0  0x101',
    ]);
    expect(lines(120)[0]).toMatch(/round 4 {3}from 3 {3}3 runners {3}void {9}archive model1-4…yyyy/);
    expect(lines(120)[2]).toContain('disputable');
    expect(lines(120)[4]).toContain('from 1');
  });

  test.each([60, 80, 120, 160])('fits into %d columns', (columns) => {
    for (const line of lines(columns)) expect(width(line)).toBeLessThanOrEqual(columns);
    expect(lines(columns, { unicode: false }).join('')).toMatch(/^[\u0020-\u007e]*$/);
  });

  test('leaves out a start that is the very version it goes on from', () => {
    const same = tree.map((entry) => (entry.id === '2/0' ? { ...entry, version: hex(17, 32) } : entry));
    const entries = entriesOfRecord(same);
    expect(entries.map(({ id }) => id)).not.toContain('2/0');
    expect(entries.find(({ id }) => id === '2/1')?.parent).toBe('1/1');
  });
});

describe('the tree as a picture', () => {
  const svg = lineageSvg('digits <1>', tree);

  test('says in words what it shows, and in full what a row shortens', () => {
    expect(svg).toContain('role="img" aria-labelledby="title desc"');
    expect(svg).toContain('<title id="title">Lineage digits &lt;1&gt;</title>');
    expect(svg).toContain(
      '7 versions in 2 lines, newest first. The newest is number 3, accuracy 50.30%, final. 1 were declared void.',
    );
    expect(svg).toContain(`runners ${hex(1, 20)}, ${hex(2, 20)}, ${hex(3, 20)}`);
    expect(svg).toContain(`manifest ${tree[3]?.archive.manifest}`);
    expect(svg.match(/class="mark void"/g)).toHaveLength(1);
    expect(svg.match(/class="mark disputable"/g)).toHaveLength(1);
  });

  test('follows the reader’s light or dark setting and fetches nothing', () => {
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(
      /https?:|@import|<script|url\(/,
    );
  });

  test('of a thousand versions with fifty forks is drawn in well under a second', () => {
    const many = Array.from({ length: 50 }, (_, job) =>
      Array.from({ length: 20 }, (_, round) =>
        version(
          job,
          round,
          round === 0 && job > 0
            ? { parent: `${job - 1}/10`, number: 10 * job }
            : { number: 10 * job + round },
        ),
      ),
    ).flat();
    const begun = performance.now();
    const drawn = lineageSvg('many', many);
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(drawn.match(/<circle/g)).toHaveLength(1000);
  });
});
