import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  aggregationHeaders,
  aggregationTree,
  nodeHeader,
  runnerHeader,
  type RunnerHeader,
} from '#core/commitment.js';
import { toHex, type Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';

const word = (...parts: (string | number)[]): Uint8Array => sha256(new TextEncoder().encode(parts.join('/')));

function runners(count: number): RunnerHeader[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    runner: `0x${(index + 1).toString(16).padStart(40, '0')}` as Hex,
    updateRoot: toHex(word('update', index)),
    samples: 100 + index,
    weight: 100 + index,
    signature: `0x${'ab'.repeat(64)}1b`,
  }));
}

const sumRootsOf = (count: number) =>
  aggregationTree(count).levels.map((level, height) => level.map((_, i) => word('sum', height, i)));

describe('aggregationTree', () => {
  test('covers every runner once, with at most 16 under a bottom node and 8 nodes under an upper one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), (count) => {
        const { levels } = aggregationTree(count);
        expect(levels.at(-1)).toEqual([
          { children: [0, levels.at(-2)?.length ?? count], runners: [0, count] },
        ]);
        levels.forEach((level, height) => {
          const below = height === 0 ? count : (levels[height - 1]?.length ?? 0);
          let child = 0;
          let runner = 0;
          const adjoining = level.every((node) => {
            const size = node.children[1] - node.children[0];
            const joins = node.children[0] === child && node.runners[0] === runner;
            [, child] = node.children;
            [, runner] = node.runners;
            return joins && size >= 1 && size <= (height === 0 ? 16 : 8);
          });
          expect([adjoining, child, runner]).toEqual([true, below, count]);
        });
      }),
      { numRuns: 20 },
    );
  });

  test('16 runners need one node, 17 two levels, 16,384 five', () => {
    expect([1, 16, 17, 128, 129, 1_024, 16_384].map((count) => aggregationTree(count).levels.length)).toEqual(
      [1, 1, 2, 2, 3, 3, 5],
    );
    expect(() => aggregationTree(0)).toThrow('at least one runner');
  });
});

describe('aggregationHeaders', () => {
  test('of four runners is one node over their headers', () => {
    const four = runners(4);
    const [[root] = []] = aggregationHeaders(sha256, four, sumRootsOf(4));
    const children = four.map((header) => runnerHeader(sha256, header));
    expect(root).toEqual(nodeHeader(sha256, { sumRoot: word('sum', 0, 0), weight: 406, count: 4, children }));
  });

  test('of forty runners adds weights and counts upwards', () => {
    const forty = runners(40);
    const headers = aggregationHeaders(sha256, forty, sumRootsOf(40));
    expect(headers.map((level) => level.length)).toEqual([3, 1]);
    const weight = forty.reduce((sum, runner) => sum + runner.weight, 0);
    expect(headers[1]?.[0]).toEqual(
      nodeHeader(sha256, { sumRoot: word('sum', 1, 0), weight, count: 40, children: headers[0] ?? [] }),
    );
    expect(headers[0]?.[2]).toEqual(
      nodeHeader(sha256, {
        sumRoot: word('sum', 0, 2),
        weight: forty.slice(32).reduce((sum, runner) => sum + runner.weight, 0),
        count: 8,
        children: forty.slice(32).map((runner) => runnerHeader(sha256, runner)),
      }),
    );
  });

  test('the root changes with every field of every header and with every sum', () => {
    const root = (headers: RunnerHeader[], sums = sumRootsOf(20)) =>
      toHex(aggregationHeaders(sha256, headers, sums).at(-1)?.[0] ?? new Uint8Array());
    const changes: Partial<RunnerHeader>[] = [
      { runner: '0x0000000000000000000000000000000000001300' },
      { updateRoot: toHex(word('other')) },
      { samples: 1 },
      { weight: 1 },
      { signature: `0x${'ab'.repeat(64)}1c` },
    ];
    const roots = changes.map((change) =>
      root(runners(20).map((header, i) => (i === 19 ? { ...header, ...change } : header))),
    );
    const sums = sumRootsOf(20);
    sums[0] = [word('other'), word('sum', 0, 1)];
    expect(new Set([root(runners(20)), root(runners(20), sums), ...roots]).size).toBe(7);
  });

  test('wrong order, numbering or number of sums is refused', () => {
    const [a, b] = runners(2) as [RunnerHeader, RunnerHeader];
    expect(() => aggregationHeaders(sha256, [b, a], sumRootsOf(2))).toThrow('numbered from 0, ascending');
    expect(() => aggregationHeaders(sha256, [a, { ...a, index: 1 }], sumRootsOf(2))).toThrow(
      'numbered from 0, ascending',
    );
    expect(() => aggregationHeaders(sha256, [a, b], [])).toThrow('2 runners have 1 levels of sums');
    expect(() => aggregationHeaders(sha256, [a, b], [[]])).toThrow('Level 0 has 1 nodes, but 0 sum roots');
  });
});

test('a signature of another length is refused', () => {
  const [header] = runners(1) as [RunnerHeader];
  expect(() => runnerHeader(sha256, { ...header, signature: '0x00' })).toThrow('Expected 65 bytes');
});

test('a node has 1 to 16 children', () => {
  const node = { sumRoot: word('sum'), weight: 1, count: 1 };
  expect(() => nodeHeader(sha256, { ...node, children: [] })).toThrow('1 to 16 children, not 0');
  expect(() =>
    nodeHeader(sha256, { ...node, children: Array.from({ length: 17 }, () => word('a')) }),
  ).toThrow('not 17');
});
