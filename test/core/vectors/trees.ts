/** Trees over values and over rewards (PROTOCOL sections 5 and 10). */
import { toHex } from '#core/hex.js';
import { LEAF, leafBytes, leafHash, type MerkleTree, valuesTree, zeroHashes } from '#core/merkle.js';
import { apportion, epochTree, rewardLeafHash, roundBudget, type AccountRewards } from '#core/rewards.js';
import { sha256 } from '#services/sha256.js';
import { U128, bytes, hex, int32, indices } from './inputs.js';

export function leaves(): unknown {
  const vectors = [1, 63, 64, 65, 200, 1_000].map((length) => int32(`values ${length}`, length));
  const sums = Float64Array.of(0, -1, 1, 2 ** 32, -(2 ** 32), 2 ** 53, -(2 ** 53), ...int32('sums', 70));
  return {
    leaves: [
      single(LEAF.update, Int32Array.of(2 ** 31 - 1, -(2 ** 31) + 1, 0, 1, -1), 0),
      ...vectors.map((values) => single(LEAF.params, values, Math.ceil(values.length / 64) - 1)),
      single(LEAF.sum, sums, 0),
      single(LEAF.sum, sums, 1),
    ],
    trees: [
      ...vectors.map((values) => valuesTree(sha256, LEAF.update, values)),
      valuesTree(sha256, LEAF.sum, sums),
    ].map(tree),
  };
}

export function rewards(): unknown {
  const edges = [
    {
      index: 0,
      account: hex('account 0', 20),
      cumulative: 1n,
      previous: 0n,
      totalPrefix: 0n,
      deltaRoot: new Uint8Array(32),
    },
    {
      index: 2 ** 32 - 1,
      account: hex('account 1', 20),
      cumulative: U128,
      previous: U128,
      totalPrefix: U128,
      deltaRoot: bytes('deltas'),
    },
    {
      index: 1,
      account: hex('account 2', 20),
      cumulative: 2n ** 64n,
      previous: 2n ** 64n - 1n,
      totalPrefix: 1n,
      deltaRoot: bytes('deltas'),
    },
  ];
  const printed = (leaf: (typeof edges)[number]) => ({
    index: leaf.index,
    account: leaf.account,
    cumulative: String(leaf.cumulative),
    previous: String(leaf.previous),
    totalPrefix: String(leaf.totalPrefix),
    deltaRoot: toHex(leaf.deltaRoot),
    hash: toHex(rewardLeafHash(sha256, leaf)),
  });
  return {
    zeroHashes: zeroHashes(sha256, 31).map(toHex),
    leaves: edges.map(printed),
    trees: [1, 2, 3, 7, 16].map((count) => {
      const accounts = accountsOf(count);
      const { root, leaves: proven } = epochTree(sha256, { accounts });
      return {
        accounts: accounts.map(({ account, cumulative, previous, deltas }) => ({
          account,
          cumulative: String(cumulative),
          previous: String(previous),
          deltas: deltas.map((delta) => ({ ...delta, amount: String(delta.amount) })),
        })),
        leaves: proven.map(printed),
        depth: Math.ceil(Math.log2(count)),
        root: toHex(root),
        proofs: proven.map(({ proof }) => proof.map(toHex)),
      };
    }),
    budgets: [1, 2, 3].map((round) => ({
      total: '1000',
      rounds: 3,
      round,
      budget: String(roundBudget(1_000n, 3, round)),
    })),
    shares: [
      { budget: 1_000n, units: [600n, 599n, 1n, 800n] },
      { budget: 10n ** 18n, units: [1n, 1n, 1n] },
      { budget: 5n, units: [0n, 0n] },
    ].map(({ budget, units }) => ({
      budget: String(budget),
      units: units.map(String),
      rewards: apportion(budget, units).map(String),
    })),
  };
}

function accountsOf(count: number): AccountRewards[] {
  return indices(count).map((i) => {
    const deltas = indices(i % 4).map((j) => ({
      job: hex(`job ${j % 2}`),
      round: 1 + j,
      amount: BigInt(1_000 * i + j),
    }));
    const earned = deltas.reduce((sum, { amount }) => sum + amount, 0n);
    return {
      account: hex(`account ${i}`, 20),
      cumulative: 10n ** 18n + earned,
      previous: 10n ** 18n,
      deltas,
    };
  });
}

const single = (type: 0 | 1 | 2, values: Int32Array | Float64Array, index: number) => {
  const padded = leafBytes(values, index);
  return { type, bytes: toHex(padded), hash: toHex(leafHash(sha256, type, padded)) };
};

const tree = (merkle: MerkleTree) => ({
  leaves: indices(merkle.count).map((i) => toHex(merkle.leaf(i))),
  depth: merkle.depth,
  root: toHex(merkle.root),
  proofs: indices(merkle.count).map((i) => merkle.proof(i).map(toHex)),
});
