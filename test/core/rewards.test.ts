import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Hex } from '#core/hex.js';
import { verifyProof } from '#core/merkle.js';
import {
  accountsOf,
  apportion,
  epochTree,
  rewardLeafHash,
  roundBudget,
  type AccountRewards,
} from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';

const amount = fc.bigInt({ min: 0n, max: 2n ** 96n });
const total = (values: readonly bigint[]) => values.reduce((sum, value) => sum + value, 0n);
const job = (byte: string): Hex => `0x${byte.repeat(32)}`;
const account = (byte: string): Hex => `0x${byte.repeat(20)}`;

describe('apportion', () => {
  test('pays out the whole budget, each share within one unit of its exact value', () => {
    fc.assert(
      fc.property(amount, fc.array(amount, { minLength: 1 }), (budget, units) => {
        const all = total(units);
        fc.pre(all > 0n);
        const rewards = apportion(budget, units);
        expect(total(rewards)).toBe(budget);
        rewards.forEach((reward, i) => {
          const error = reward * all - budget * (units[i] ?? 0n);
          expect(error < all && -error < all).toBe(true);
        });
      }),
    );
  });

  test('one share can be recomputed from two prefix sums', () => {
    const units = [600n, 599n, 1n, 800n];
    const rewards = apportion(1_000n, units);
    expect(rewards).toEqual([300n, 299n, 1n, 400n]);
    expect(rewards[2]).toBe((1_000n * 1_200n) / 2_000n - (1_000n * 1_199n) / 2_000n);
  });

  test('nothing is paid where nobody contributed, and nothing to whom did not', () => {
    expect(apportion(10n, [0n, 0n])).toEqual([0n, 0n]);
    expect(apportion(10n, [])).toEqual([]);
    expect(apportion(10n, [0n, 3n, 0n])).toEqual([0n, 10n, 0n]);
  });

  test('negative numbers are refused', () => {
    expect(() => apportion(-1n, [1n])).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    expect(() => apportion(1n, [1n, -1n])).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

describe('roundBudget', () => {
  test('spreads a budget over the rounds without losing a unit', () => {
    fc.assert(
      fc.property(amount, fc.integer({ min: 1, max: 200 }), (budget, rounds) => {
        const budgets = Array.from({ length: rounds }, (_, i) => roundBudget(budget, rounds, i + 1));
        expect(total(budgets)).toBe(budget);
        const even = budget / BigInt(rounds);
        expect(budgets.every((each) => each === even || each === even + 1n)).toBe(true);
      }),
    );
  });

  test.each([0, 9, 1.5])('a job of eight rounds has no round %d', (round) => {
    expect(() => roundBudget(100n, 8, round)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

describe('accountsOf', () => {
  test('goes on from the epoch before, and lists who earned, who only had, and who is new', () => {
    const before = [
      { account: account('aa'), cumulative: '10' },
      { account: account('bb'), cumulative: '7' },
    ];
    const rounds = [
      { job: job('01'), round: 1, shares: [{ runner: account('aa'), amount: '5' }] },
      {
        job: job('01'),
        round: 2,
        shares: [
          { runner: account('aa'), amount: '1' },
          { runner: account('cc'), amount: '2' },
        ],
      },
    ];
    const delta = (round: number, earned: bigint) => ({ job: job('01'), round, amount: earned });
    expect(accountsOf(before, rounds)).toEqual([
      { account: account('aa'), previous: 10n, cumulative: 16n, deltas: [delta(1, 5n), delta(2, 1n)] },
      { account: account('bb'), previous: 7n, cumulative: 7n, deltas: [] },
      { account: account('cc'), previous: 0n, cumulative: 2n, deltas: [delta(2, 2n)] },
    ]);
  });
});

describe('epochTree', () => {
  const accounts: AccountRewards[] = [
    {
      account: account('cc'),
      cumulative: 30n,
      previous: 10n,
      deltas: [{ job: job('01'), round: 2, amount: 20n }],
    },
    { account: account('aa'), cumulative: 7n, previous: 7n, deltas: [] },
    {
      account: account('bb'),
      cumulative: 2n ** 100n + 3n,
      previous: 0n,
      deltas: [
        { job: job('02'), round: 1, amount: 2n ** 100n },
        { job: job('01'), round: 9, amount: 1n },
        { job: job('01'), round: 10, amount: 2n },
      ],
    },
  ];

  test('has one leaf an account, ascending, with the sum of all cumulatives before it, and a proof for each', () => {
    const { root, leaves } = epochTree(sha256, { accounts });
    expect(leaves.map((leaf) => [leaf.index, leaf.account, leaf.totalPrefix])).toEqual([
      [0, account('aa'), 0n],
      [1, account('bb'), 7n],
      [2, account('cc'), 2n ** 100n + 10n],
    ]);
    for (const leaf of leaves)
      expect(verifyProof(sha256, root, rewardLeafHash(sha256, leaf), leaf.index, 3, leaf.proof)).toBe(true);
    expect(leaves[0]?.deltaRoot).toEqual(new Uint8Array(32));
  });

  test('does not depend on the order of accounts and deltas', () => {
    const reordered = accounts.map((each) => ({ ...each, deltas: each.deltas.toReversed() })).toReversed();
    expect(epochTree(sha256, { accounts: reordered })).toEqual(epochTree(sha256, { accounts }));
  });

  test('the root changes with every amount', () => {
    const [first, ...rest] = accounts as [AccountRewards, ...AccountRewards[]];
    const roots = [
      first,
      { ...first, previous: 11n, cumulative: 31n },
      { ...first, deltas: [{ job: job('01'), round: 3, amount: 20n }] },
      { ...first, deltas: [{ job: job('03'), round: 2, amount: 20n }] },
      { ...first, cumulative: 31n, deltas: [{ job: job('01'), round: 2, amount: 21n }] },
      { ...first, account: account('dd') },
    ].map((each) => epochTree(sha256, { accounts: [each, ...rest] }).root.join());
    expect(new Set(roots).size).toBe(roots.length);
  });

  test.each([
    ['no accounts', []],
    ['an account twice', [accounts[0], { ...accounts[0], account: account('CC') }]],
    ['a cumulative that is not the previous one and what was earned', [{ ...accounts[0], cumulative: 31n }]],
    [
      'a round paid twice',
      [
        {
          account: account('aa'),
          cumulative: 2n,
          previous: 0n,
          deltas: [
            { job: job('01'), round: 1, amount: 1n },
            { job: job('01'), round: 1, amount: 1n },
          ],
        },
      ],
    ],
    [
      'an amount beyond 128 bits',
      [{ account: account('aa'), cumulative: 2n ** 128n, previous: 2n ** 128n, deltas: [] }],
    ],
  ])('%s is refused', (_, list) => {
    expect(() => epochTree(sha256, { accounts: list as AccountRewards[] })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });
});
