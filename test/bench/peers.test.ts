import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readEvents, roundSeconds, tell } from '../../bench/peers/events.js';
import { measured } from '../../bench/peers/measured.js';
import { peersTable, resultOf, type PeerResult } from '../../bench/peers/results.js';

const usage = {
  started: 100,
  ended: 130,
  exitCode: 0,
  cpuSeconds: 41.234,
  peakBytes: 1.5e9,
  processes: 12,
};
const events = [
  { event: 'ready', at: 105 },
  { event: 'working', at: 106 },
  { event: 'working', at: 107 },
  { event: 'round', round: 0, accuracy: 0.1, at: 108 },
  { event: 'round', round: 2, accuracy: 0.82, at: 113.5 },
  { event: 'round', round: 1, accuracy: 0.785, at: 112 },
  { event: 'verified', checks: 68, seconds: 1.006, at: 115 },
  { event: 'recovery', killed: 'node', seconds: 7.25, undisturbed: 2, lost: 'nothing', at: 115 },
  { event: 'done', at: 116 },
] as const;
const result = resultOf('roundtable', { clients: 10, rounds: 2 }, 'a machine', usage, events);

const of = (contender: string, change: Partial<PeerResult>): PeerResult => ({
  ...result,
  recoveries: [],
  contender,
  ...change,
});

describe('the result of a contender', () => {
  test('takes its times from what it told, from the first process on', () => {
    expect(result).toMatchObject({
      at: '1970-01-01T00:01:40.000Z',
      startSeconds: 5,
      workSeconds: 10,
      totalSeconds: 16,
      cpuSeconds: 41.23,
      verified: { checks: 68, seconds: 1.01 },
    });
  });

  test('has rounds in their order, whatever order they were told in', () => {
    expect(result.accuracy).toEqual([0.1, 0.785, 0.82]);
    expect(result.roundSeconds).toEqual([4, 1.5]);
  });

  test('has no time for what never came', () => {
    const broken = resultOf('pytorch', { clients: 1, rounds: 1 }, '', usage, events.slice(0, 2));
    expect(broken).toMatchObject({ startSeconds: 5, workSeconds: null, totalSeconds: null, verified: null });
  });
});

describe('the table', () => {
  test('sets each peer against ours that does the same, and takes the newest result of each', () => {
    const table = peersTable([
      of('flower-deployment', { workSeconds: 80 }),
      of('roundtable', { workSeconds: 999 }),
      of('roundtable', {}),
      of('roundtable-deployment', { workSeconds: 20 }),
      of('flower-simulation', { workSeconds: 25 }),
    ]);
    const cells = (title: string) =>
      table
        .split('\n')
        .find((line) => line.startsWith(`| ${title} |`))
        ?.split('|')
        .slice(2, -1)
        .map((cell) => cell.trim());
    expect(table.split('\n')[0]).toMatch(
      /Roundtable \| Flower, simulation \| Roundtable, a process for each runner \| Flower, deployment \|$/,
    );
    expect(cells('work, s')).toEqual(['10.0', '25.0', '20.0', '80.0']);
    expect(cells('work against ours')).toEqual(['', '2.5 x', '', '4.0 x']);
    expect(cells('accuracy after each round')).toEqual(Array.from({ length: 4 }, () => '78.5 82.0'));
  });

  test('shows how each went on after a kill, and who never did', () => {
    const table = peersTable([
      { ...result, contender: 'roundtable-faults' },
      of('flower-faults', {
        recoveries: [{ killed: 'server', seconds: null, undisturbed: 12, lost: 'the whole run' }],
      }),
    ]);
    expect(table).toContain('| Roundtable: node killed | 7.3 | 2.0 | nothing |');
    expect(table).toContain('| Flower, deployment: server killed | never | 12.0 | the whole run |');
  });

  test('is empty without results', () => {
    expect(peersTable([])).toBe('');
  });
});

test('events are read as they were told', () => {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-'));
  const path = join(folder, 'events');
  try {
    expect(readEvents(path)).toEqual([]);
    tell(path, { event: 'round', round: 1, accuracy: 0.5 }, 10);
    tell(path, { event: 'round', round: 2, accuracy: null }, 12.5);
    expect([...roundSeconds(readEvents(path))]).toEqual([[2, 2.5]]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a command is measured with all that it starts', async () => {
  // The inner process works for half a second and outlives its parent's wait for it by nothing.
  const inner = 'const end = Date.now() + 500; while (Date.now() < end);';
  const outer = `require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(inner)}])`;
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-'));
  try {
    const used = await measured([process.execPath, '-e', outer], { env: {}, log: join(folder, 'log') });
    expect(used.exitCode).toBe(0);
    expect(used.processes).toBe(2);
    expect(used.cpuSeconds).toBeGreaterThan(0.1);
    expect(used.peakBytes).toBeGreaterThan(10e6);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
