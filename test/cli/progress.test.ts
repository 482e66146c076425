import { describe, expect, test } from '@jest/globals';
import type { StackEvent } from '#cli/progress/events.js';
import { lastingLines, liveRegion } from '#cli/progress/live.js';
import { plainLines } from '#cli/progress/plain.js';
import { openProgress, type ProgressMode } from '#cli/progress/progress.js';
import { Region } from '#cli/progress/region.js';
import { initialState, reduce, type ProgressState } from '#cli/progress/state.js';
import type { Terminal } from '#cli/terminal/terminal.js';
import { width } from '#cli/terminal/text.js';
import { themeFor, type Theme } from '#cli/terminal/theme.js';
import * as example from './example.js';

const theme = (columns: number, more: Partial<Theme> = {}): Theme => ({
  color: false,
  unicode: true,
  columns,
  ...more,
});
const round = (view: ReturnType<typeof example.openRound>, runners = example.runners): StackEvent => ({
  type: 'round',
  job: example.job('running', view.round - 1),
  round: view,
  runners,
});
const story: StackEvent[] = [
  { type: 'part-starting', part: 'chain', what: 'service' },
  { type: 'part-ready', part: 'chain', seconds: 0.21, detail: '127.0.0.1:8545' },
  {
    type: 'part-failed',
    part: 'gateway',
    reason: 'it ended five times within a minute',
    log: '.roundtable/logs/gateway.log',
  },
  { type: 'note', text: 'contracts deployed' },
  {
    type: 'webhook-sent',
    trigger: 'digits-push',
    delivery: 'a1b2c3d4',
    status: 202,
    job: example.hash(0x3f),
  },
  { type: 'job', job: example.job('queued', 0) },
  { type: 'job', job: example.job('running', 0) },
  round(example.openRound(1), example.busyRunners),
  round(example.finishedRound(1)),
  round(example.openRound(2), example.busyRunners),
  round(example.finishedRound(2)),
  { type: 'job-finished', job: example.job('done', 3) },
  {
    type: 'claimed',
    runner: example.account(0x11),
    account: example.account(0x11),
    amount: '1025641025641025641',
    transaction: example.hash(0xdd),
    gas: 92_114,
  },
];

function shown(at: Theme, events: readonly StackEvent[]): { lines: string[]; state: ProgressState } {
  let state = initialState;
  const lines = events.flatMap((event) => {
    const lasting = lastingLines(at, event, state);
    state = reduce(state, event, example.startedAt);
    return lasting;
  });
  return { lines, state };
}

describe('the live view', () => {
  test('shows a finished round with its runners, who was missing and why, archive, transactions and gas', () => {
    const { lines } = shown(theme(80), [story[5] as StackEvent, round(example.finishedRound(2))]);
    expect(lines.slice(lines.findIndex((line) => line.startsWith('round')))).toEqual([
      'round 2 of 3   accuracy 84.12%   loss 0.4562   3.6 s',
      '  ✓ north-1     2,000 samples   loss 0.4120      1.9 s    24.1 kB',
      '  ✓ north-2     1,900 samples   loss 0.4220      4.9 s    24.1 kB',
      '  ✓ harbour-1   1,800 samples   loss 0.4320      7.9 s    24.1 kB',
      '  ○ meadow-1   missing, offline: last seen 12 s ago',
      '    version 0x52525252…525252',
      '    archive CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC',
      '    open 0xb2b2b2b2…b2b2b2 (gas 51,204)   close 0xc2c2c2c2…c2c2c2 (gas 78,112)',
      '',
    ]);
  });

  test('redraws the round in progress with a bar for each runner', () => {
    const { state } = shown(theme(80), [
      story[5] as StackEvent,
      round(example.openRound(2), example.busyRunners),
    ]);
    expect(liveRegion(theme(80), state, example.startedAt + 2_400)).toEqual([
      'round 2 of 3   training   2.4 s',
      '  ✓ north-1     2,000 samples   loss 0.4120      1.9 s    24.1 kB',
      '  · north-2    ━━━━━━━━━━━━━━━━━━━━━───────────────────  52%   loss 0.5021',
      '  · harbour-1  asked',
      '  ○ meadow-1   missing, offline: last seen 12 s ago',
    ]);
  });

  test('says a round only once, however often its last view comes', () => {
    const events = [story[5], story[8], story[8]] as StackEvent[];
    expect(shown(theme(80), events).lines.filter((line) => line.startsWith('round 1'))).toHaveLength(1);
  });

  test('names the parts that are starting until they are ready', () => {
    const { state } = shown(theme(80), [
      { type: 'part-starting', part: 'temporal', what: 'temporal' },
      ...story.slice(0, 2),
    ]);
    expect(liveRegion(theme(80), state, 0)).toEqual(['  ⠋ starting temporal']);
  });

  test('shows a part that comes back beside the round in progress', () => {
    const events = [
      story[5],
      round(example.openRound(2)),
      { type: 'part-starting', part: 'runner-4', what: 'runner' },
    ];
    const region = liveRegion(theme(80), shown(theme(80), events as StackEvent[]).state, example.startedAt);
    expect(region.slice(0, 2)).toEqual(['  ⠋ starting runner-4', 'round 2 of 3   training   0.0 s']);
  });

  test('shows elapsed and expected time while Temporal is built', () => {
    const build: StackEvent = {
      type: 'temporal-build',
      step: 'building',
      elapsedSeconds: 75,
      expectedSeconds: 180,
    };
    expect(liveRegion(theme(80), shown(theme(80), [build]).state, 0)).toEqual([
      '  ⠋ building   1 min 15 s of about 3 min 0 s',
    ]);
  });

  test.each([120, 80, 60])('fits into %i columns', (columns) => {
    const { lines } = shown(theme(columns), story);
    expect(lines.filter((line) => width(line) > columns)).toEqual([]);
  });

  test('keeps every figure of a runner on a narrow terminal, on more lines', () => {
    const { lines } = shown(theme(40, { unicode: false }), [
      story[5] as StackEvent,
      round(example.finishedRound(1)),
    ]);
    const text = lines.join('\n');
    for (const figure of ['north-1', '2,000 samples', 'loss 0.4120', '1.9 s', '24.1 kB'])
      expect(text).toContain(figure);
    expect(lines.filter((line) => width(line) > 41)).toEqual([]);
  });

  test('uses nothing but ASCII where the terminal has no more', () => {
    const { lines, state } = shown(theme(80, { unicode: false }), story.slice(0, 10));
    // eslint-disable-next-line no-control-regex
    expect([...lines, ...liveRegion(theme(80, { unicode: false }), state, 0)].join('')).toMatch(
      /^[\x20-\x7e]*$/,
    );
  });

  test('paints with colour without changing what is read', () => {
    const plain = shown(theme(80), story).lines;
    const painted = shown(theme(80, { color: true }), story).lines;
    // eslint-disable-next-line no-control-regex
    expect(painted.map((line) => line.replace(/\u001b\[\d+m/g, ''))).toEqual(plain);
    expect(painted.join('')).toContain('\u001b[32m');
  });
});

describe('plain lines', () => {
  test('say each thing once and in full', () => {
    let state = initialState;
    const said = new Set<string>();
    const lines = story.flatMap((event) => {
      const added = plainLines(event, state, said);
      state = reduce(state, event, example.startedAt);
      return added;
    });
    expect(lines.filter((line) => line.startsWith('round 1:'))).toEqual([
      'round 1: training',
      'round 1: north-1 done, 2,000 samples, loss 0.4120, 1.9 s, 24.1 kB',
      'round 1: meadow-1 is missing (offline): last seen 12 s ago',
      'round 1: north-2 done, 1,900 samples, loss 0.4220, 4.9 s, 24.1 kB',
      'round 1: harbour-1 done, 1,800 samples, loss 0.4320, 7.9 s, 24.1 kB',
      'round 1: accuracy 71.25%, loss 0.9124',
      `round 1: version ${example.hash(0x51)}`,
      `round 1: archived model ${'B'.repeat(43)}, manifest ${'b'.repeat(43)}`,
      `round 1: open transaction ${example.hash(0xb1)} in block 21, gas 51,204`,
      `round 1: close transaction ${example.hash(0xc1)} in block 22, gas 78,112`,
      'round 1: done in 3.6 s',
    ]);
    expect(lines.at(-1)).toBe(`north-1 claimed 1.025641, transaction ${example.hash(0xdd)}, gas 92,114`);
  });
});

describe('the mode of progress', () => {
  test('auto redraws on a terminal and writes lines elsewhere', () => {
    expect(written('auto', true)).toContain('\u001b[');
    expect(written('auto', false)).not.toContain('\u001b[');
    expect(written('plain', true)).toBe(written('auto', false));
  });

  test('json writes every event as a line', () => {
    const lines = written('json', true).trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as StackEvent).type)).toEqual(story.map(({ type }) => type));
  });

  test('quiet writes nothing', () => {
    expect(written('quiet', true)).toBe('');
  });
});

describe('the region', () => {
  test('erases exactly the rows that it drew, also where lines were broken', () => {
    const writes: string[] = [];
    const region = new Region(
      (text) => void writes.push(text),
      () => ({ rows: 10, columns: 20 }),
    );
    region.draw(['stays'], ['short', 'a line of thirty characters ...']);
    region.draw([], ['x']);
    region.clear();
    expect(writes).toEqual([
      'stays\nshort\na line of thirty characters ...\n',
      '\u001b[3A\u001b[0Jx\n',
      '\u001b[1A\u001b[0J',
    ]);
  });

  test('is never taller than the screen', () => {
    let out = '';
    const region = new Region(
      (text) => void (out += text),
      () => ({ rows: 5, columns: 80 }),
    );
    region.draw([], ['1', '2', '3', '4', '5', '6']);
    expect(out).toBe('1\n2\n3\n');
  });
});

describe('the theme', () => {
  test('has colour on a terminal, and none with NO_COLOR, TERM=dumb or a pipe', () => {
    expect(themeFor({ TERM: 'xterm' }, { isTTY: true }).color).toBe(true);
    expect(themeFor({ TERM: 'xterm', NO_COLOR: '1' }, { isTTY: true }).color).toBe(false);
    expect(themeFor({ TERM: 'dumb' }, { isTTY: true }).color).toBe(false);
    expect(themeFor({}, {}).color).toBe(false);
    expect(themeFor({ FORCE_COLOR: '1' }, {}).color).toBe(true);
  });

  test('keeps to ASCII in a C locale', () => {
    expect(themeFor({ LANG: 'C' }, {}).unicode).toBe(false);
    expect(themeFor({ LANG: 'de_DE.UTF-8' }, {}).unicode).toBe(true);
    expect(themeFor({ LANG: 'de_DE.UTF-8', LC_ALL: 'POSIX' }, {}).unicode).toBe(false);
  });
});

/** All that a mode writes of the story. */
function written(mode: ProgressMode, canRedraw: boolean): string {
  let out = '';
  const terminal: Terminal = {
    write: (text) => void (out += text),
    writeError: () => undefined,
    theme: () => theme(80),
    rows: () => 24,
    canRedraw,
    isInteractive: canRedraw,
  };
  const progress = openProgress(mode, terminal);
  for (const event of story) progress.emit(event);
  progress.close();
  return out;
}
