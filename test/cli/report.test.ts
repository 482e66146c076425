import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { entriesOfViews, lineageLines } from '#cli/report/lineage.js';
import { accuracyPlot } from '#cli/report/plot.js';
import { nextCommands, renderReport } from '#cli/report/render.js';
import {
  buildReport,
  report as reportSchema,
  reportProblems,
  type RewardStanding,
} from '#cli/report/report.js';
import { width } from '#cli/terminal/text.js';
import type { Theme } from '#cli/terminal/theme.js';
import * as example from './example.js';

const theme = (columns: number, more: Partial<Theme> = {}): Theme => ({
  color: false,
  unicode: true,
  columns,
  ...more,
});
const stack = {
  api: 'http://127.0.0.1:1',
  gateway: 'http://127.0.0.1:2',
  chain: { rpcUrl: 'http://127.0.0.1:3', deployment: {} },
  temporal: { address: '127.0.0.1:4', ui: 'http://127.0.0.1:5' },
};
const rewards: RewardStanding[] = example.runners.map(({ runner }) => ({
  runner,
  account: runner,
  earned: 750_000_000_000_000_000n,
  claimed: 750_000_000_000_000_000n,
  transaction: example.hash(0xd0),
}));
const facts = {
  job: example.job('done', 3),
  rounds: [3, 1, 2].map(example.finishedRound),
  runners: example.runners,
  rewards,
  stack,
};

describe('the report', () => {
  const made = buildReport(facts);

  test('has exactly the form that --report promises', () => {
    expect(reportSchema.parse(JSON.parse(JSON.stringify(made)))).toEqual(made);
    expect(Object.keys(made)).toEqual(['job', 'trigger', 'rounds', 'model', 'rewards', 'stack']);
    expect(Object.keys(made.rounds[0] ?? {})).toEqual([
      'round',
      'participants',
      'missing',
      'accuracy',
      'loss',
      'seconds',
      'versionId',
      'paramsRoot',
      'rootHeader',
      'modelSha256',
      'archiveId',
      'manifestId',
      'transactions',
      'gas',
    ]);
  });

  test('lists rounds in order, with names, reasons and the gas of all transactions', () => {
    expect(made.rounds.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(made.rounds[1]?.participants.map(({ name }) => name)).toEqual(['north-1', 'north-2', 'harbour-1']);
    expect(made.rounds[1]?.missing).toEqual([
      { runner: example.account(0x44), reason: 'offline: last seen 12 s ago' },
    ]);
    expect(made.rounds[0]?.gas).toBe(51_204 + 78_112);
    expect(made.model).toEqual({
      version: example.hash(0x53),
      sha256: example.hash(0x63),
      archiveId: 'D'.repeat(43),
    });
  });

  test('finds nothing wrong in a job that did all it should', () => {
    expect(reportProblems({ job: facts.job, report: made })).toEqual([]);
  });

  test('names every thing that is wrong', () => {
    const job = { ...example.job('failed', 2), problem: { code: 'QUORUM_NOT_REACHED', message: 'two came' } };
    const short = buildReport({
      ...facts,
      job,
      rounds: [example.finishedRound(1), { ...example.finishedRound(2), archive: null }],
      rewards: rewards.map((standing, i) => (i === 0 ? { ...standing, claimed: 0n } : standing)),
    });
    expect(reportProblems({ job, report: short })).toEqual([
      'The job is failed (QUORUM_NOT_REACHED): two came',
      '2 of 3 rounds were run.',
      'Round 2 was not archived and anchored.',
      `Account ${example.account(0x11)} earned 0.75 and was paid 0.`,
    ]);
  });

  test.each([120, 80, 60])('fits into %i columns, but for commands, which one copies', (columns) => {
    const lines = rendered(columns).filter((line) => !line.includes('npx'));
    expect(lines.filter((line) => width(line) > columns)).toEqual([]);
  });

  test('shows the newest versions of a long lineage and says how many there are more', () => {
    const versions = Array.from({ length: 40 }, (_, number) => ({
      ...example.version(1),
      number,
      parent: null,
    }));
    const lines = rendered(80, versions);
    expect(lines.filter((line) => line.startsWith('  ●'))).toHaveLength(12);
    expect(lines).toContain('  and 28 older: roundtable model lineage');
  });

  test('shows plot, lineage, rewards and three commands to try next', () => {
    const text = rendered(80).join('\n');
    for (const part of ['Accuracy on held-out data', 'Lineage of digits', 'Rewards', 'Try next'])
      expect(text).toContain(part);
    expect(text.match(/npx roundtable/g)).toHaveLength(3);
  });

  function rendered(columns: number, versions = [0, 1, 2, 3].map(example.version)): string[] {
    return renderReport(theme(columns), {
      job: facts.job,
      report: made,
      versions,
      problems: [],
      next: nextCommands(made, 'npx roundtable'),
    });
  }
});

describe('the plot', () => {
  test('draws accuracy by round between round percentages', () => {
    const points = [0.7125, 0.8412, 0.9034].map((y, i) => ({ x: i + 1, y }));
    expect(accuracyPlot(theme(80), points)).toEqual([
      '  95% ┤',
      '      │',
      '  90% ┤              ·●',
      '      │          ····',
      '  85% ┤        ●·',
      '      │       ·',
      '  80% ┤      ·',
      '      │    ··',
      '  75% ┤   ·',
      '      │  ·',
      '  70% ┤ ●',
      '      └──────────────────────',
      '        1      2      3',
    ]);
  });

  test('stays small and within the terminal, whatever the values and however many rounds', () => {
    const value = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 30, max: 140 }),
        (values, columns) => {
          const lines = accuracyPlot(
            theme(columns, { unicode: false }),
            values.map((y, i) => ({ x: i + 1, y })),
          );
          expect(lines.length).toBeLessThanOrEqual(14);
          expect(lines.filter((line) => width(line) > columns)).toEqual([]);
          expect(lines.join('\n')).toContain('*');
        },
      ),
    );
  });
});

describe('the lineage', () => {
  test('is one line of versions, newest first', () => {
    const lines = lineageLines(theme(80), entriesOfViews([0, 1, 2].map(example.version)));
    expect(lines.map((line) => line.slice(0, 38))).toEqual([
      '  ● 2  0x52525252…525252   84.12%   ro',
      '  ● 1  0x51515151…515151   71.25%   ro',
      '  ○ 0  0x50505050…505050   10.00%   st',
    ]);
  });

  test('shows a fork beside the line of the newest version', () => {
    const main = [0, 1, 2, 3].map(example.version);
    const fork = {
      ...example.version(2),
      model: { ...example.model(2), versionId: example.hash(0xee) },
      updatedAt: '2026-11-21T00:00:00.000Z',
    };
    const lines = lineageLines(theme(100), entriesOfViews([...main, fork]));
    expect(lines.map((line) => line.slice(0, 12))).toEqual([
      '  ● 3  0x535',
      '  ● 2  0x525',
      '  ├─● 2  0xe',
      '  ● 1  0x515',
      '  ○ 0  0x505',
    ]);
    expect(lines[2]).toContain('from 1');
  });
});
