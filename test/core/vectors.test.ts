import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { recoverAddress, verifyTypedData } from 'ethers';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { fromHex, type Hex } from '#core/hex.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { decodeVersion } from '#core/versionFile.js';
import { protocolVectors } from './vectors/protocolVectors.js';

const folder = new URL('../../docs/protocol/vectors/', import.meta.url);
const names = ['arithmetic', 'robust', 'leaves', 'model', 'openHash', 'eip712', 'headers', 'rewards'].map(
  (name) => `${name}.json`,
);
let made: Record<string, unknown> = {};

beforeAll(async () => {
  made = await protocolVectors();
  if (process.env['WRITE_VECTORS'] !== '1') return;
  mkdirSync(folder, { recursive: true });
  for (const [name, vectors] of Object.entries(made))
    writeFileSync(new URL(name, folder), `${JSON.stringify(vectors, null, 2)}\n`);
});

describe('docs/protocol/vectors', () => {
  test.each(names)('%s is what the code computes', (name) => {
    expect(Object.keys(made).sort()).toEqual(names.toSorted());
    expect(JSON.parse(JSON.stringify(made[name]))).toEqual(read(name));
  });
});

// The vectors once more, from the bytes that docs/protocol describes and nothing of core's hashing.

const hash = (...parts: (Buffer | string | number[])[]): Hex =>
  `0x${createHash('sha256')
    .update(
      Buffer.concat(
        parts.map((part) =>
          typeof part === 'string' ? Buffer.from(part.slice(2), 'hex') : Buffer.from(part),
        ),
      ),
    )
    .digest('hex')}`;

function little(value: string | number, bytes: number): Buffer {
  return Buffer.from(
    Buffer.from(
      BigInt(value)
        .toString(16)
        .padStart(2 * bytes, '0'),
      'hex',
    ).toReversed(),
  );
}

interface Tree {
  leaves: (Hex | RewardLeaf)[];
  depth: number;
  root: Hex;
  proofs: Hex[][];
}
interface RewardLeaf {
  index: number;
  account: Hex;
  cumulative: string;
  previous: string;
  totalPrefix: string;
  deltaRoot: Hex;
  hash: Hex;
}

function checkProofs({ leaves, depth, root, proofs }: Tree): void {
  leaves.forEach((leaf, index) => {
    const proof = proofs[index] ?? [];
    expect(proof.length).toBe(depth);
    const start = typeof leaf === 'string' ? leaf : leaf.hash;
    const reached = proof.reduce(
      (node, sibling, height) =>
        (index >> height) & 1 ? hash([0x10], sibling, node) : hash([0x10], node, sibling),
      start,
    );
    expect(reached).toBe(root);
  });
}

test('leaves and trees of values follow from their bytes', () => {
  const { leaves, trees } = read('leaves.json') as {
    leaves: { type: number; bytes: Hex; hash: Hex }[];
    trees: Tree[];
  };
  for (const leaf of leaves) {
    expect(fromHex(leaf.bytes).length).toBe(leaf.type === 1 ? 512 : 256);
    expect(hash([leaf.type], leaf.bytes)).toBe(leaf.hash);
  }
  trees.forEach(checkProofs);
});

test('medians and trimmed means follow from sorting every position', () => {
  const { cases } = read('robust.json') as {
    cases: { trim: number; weight: number; kept: [number, number]; updates: Hex[]; sums: Hex }[];
  };
  for (const { trim, weight, kept, updates, sums } of cases) {
    const count = updates.length;
    const trimmed = Math.floor((trim * count) / 100);
    const middle = Math.ceil(count / 2);
    const [from, to] = trim === 50 ? [middle - 1, middle] : [trimmed, count - trimmed];
    expect(kept).toEqual([from, to]);
    const rows = updates.map((update) => Buffer.from(update.slice(2), 'hex'));
    const expected = Buffer.alloc(512);
    for (let i = 0; i < 64; i++) {
      const column = rows.map((row) => row.readInt32LE(4 * i)).sort((a, b) => a - b);
      const total = column.slice(from, to).reduce((sum, value) => sum + BigInt(value), 0n);
      expected.writeBigInt64LE(BigInt(weight) * nearest(total, BigInt(to - from)), 8 * i);
    }
    expect(sums).toBe(`0x${expected.toString('hex')}`);
  }
  expect(new Set(cases.map(({ updates }) => updates.length))).toEqual(new Set([1, 2, 3, 10, 15, 16]));
});

/** The integer nearest to a / b; a tie goes to the even one. */
function nearest(a: bigint, b: bigint): bigint {
  const below = (a - (((a % b) + b) % b)) / b;
  const twice = 2n * (a - below * b);
  return twice > b || (twice === b && below % 2n !== 0n) ? below + 1n : below;
}

test('headers follow from their fields, up to the root of every aggregation', () => {
  interface Runner {
    index: number;
    runner: Hex;
    updateRoot: Hex;
    samples: string;
    weight: number;
    signature: Hex;
    hash: Hex;
  }
  const { runners, nodes, aggregations } = read('headers.json') as {
    runners: Runner[];
    nodes: { sumRoot: Hex; weight: string; count: number; children: Hex[]; hash: Hex }[];
    aggregations: { runners: Runner[]; sumRoots: Hex[][]; headers: Hex[][] }[];
  };
  const ofRunner = (of: Runner) =>
    hash(
      [3],
      little(of.index, 4),
      of.runner,
      of.updateRoot,
      little(of.samples, 8),
      little(of.weight, 4),
      hash(of.signature),
    );
  for (const header of runners) expect(ofRunner(header)).toBe(header.hash);
  for (const node of nodes)
    expect(ofNode(node.sumRoot, node.weight, node.count, node.children)).toBe(node.hash);
  for (const { runners: all, sumRoots, headers } of aggregations) {
    const weigh = (some: Runner[]) => some.reduce((sum, { weight }) => sum + weight, 0);
    const bottom = (sumRoots[0] ?? []).map((sumRoot, i) => {
      const below = all.slice(16 * i, 16 * i + 16);
      return ofNode(sumRoot, weigh(below), below.length, below.map(ofRunner));
    });
    const top = (sumRoots[1] ?? []).map((sumRoot) => ofNode(sumRoot, weigh(all), all.length, bottom));
    expect(headers).toEqual(top.length > 0 ? [bottom, top] : [bottom]);
  }
});

test('openings follow from their fields', () => {
  const { selectionLeaves, openings } = read('openHash.json') as {
    selectionLeaves: { index: number; runner: Hex; maxSamples: string; hash: Hex }[];
    openings: {
      job: Hex;
      round: number;
      baseVersion: Hex;
      specHash: Hex;
      shift: number;
      count: number;
      selection: { runner: Hex; maxSamples: string }[];
      selectionRoot: Hex;
      hash: Hex;
    }[];
  };
  for (const leaf of selectionLeaves)
    expect(leafOf(leaf.index, leaf.runner, leaf.maxSamples)).toBe(leaf.hash);
  for (const opening of openings) {
    let level = opening.selection.map(({ runner, maxSamples }, i) => leafOf(i, runner, maxSamples));
    expect(level.length).toBe(opening.count);
    for (let zero: Hex = `0x${'0'.repeat(64)}`; level.length > 1; zero = hash([0x10], zero, zero)) {
      const below = level;
      level = Array.from({ length: Math.ceil(below.length / 2) }, (_, i) =>
        hash([0x10], below[2 * i] ?? '', below[2 * i + 1] ?? zero),
      );
    }
    expect(level[0]).toBe(opening.selectionRoot);
    const { job, round, baseVersion, specHash, shift, count, selectionRoot } = opening;
    expect(
      hash([7], job, little(round, 4), baseVersion, specHash, [shift], little(count, 4), selectionRoot),
    ).toBe(opening.hash);
  }
});

test('the signatures of statements are of their signers', () => {
  const { updates } = read('eip712.json') as {
    updates: (Record<'verifyingContract' | 'digest' | 'signature' | 'signer', Hex> & { chainId: number })[];
  };
  for (const update of updates) {
    expect(fromHex(update.signature).length).toBe(65);
    expect(recoverAddress(update.digest, update.signature).toLowerCase()).toBe(update.signer);
    const domain = updateDomain(update.chainId, update.verifyingContract);
    expect(verifyTypedData(domain, updateTypes, update, update.signature).toLowerCase()).toBe(update.signer);
  }
});

test('reward leaves and trees follow from their fields', () => {
  const { zeroHashes, leaves, trees } = read('rewards.json') as {
    zeroHashes: Hex[];
    leaves: RewardLeaf[];
    trees: (Omit<Tree, 'leaves'> & { leaves: RewardLeaf[] })[];
  };
  zeroHashes.forEach((zero, height) =>
    expect(hash([0x10], zero, zero)).toBe(zeroHashes[height + 1] ?? hash([0x10], zero, zero)),
  );
  expect(zeroHashes.length).toBe(32);
  const leafHash = (leaf: RewardLeaf) =>
    hash(
      [5],
      little(leaf.index, 4),
      leaf.account,
      little(leaf.cumulative, 16),
      little(leaf.previous, 16),
      little(leaf.totalPrefix, 16),
      leaf.deltaRoot,
    );
  for (const leaf of leaves) expect(leafHash(leaf)).toBe(leaf.hash);
  for (const tree of trees) {
    let prefix = 0n;
    tree.leaves.forEach((leaf, i) => {
      expect([leaf.index, leaf.totalPrefix, leafHash(leaf)]).toEqual([i, String(prefix), leaf.hash]);
      prefix += BigInt(leaf.cumulative);
    });
    checkProofs(tree);
  }
});

test('the files and ids of a model follow from their fields', () => {
  const { tensors, params, versions, versionFile, update, seeds } = read('model.json') as {
    tensors: { name: string; shape: number[]; exponent: number }[];
    params: number[];
    versions: Record<'graphHash' | 'paramsRoot' | 'stepsHash' | 'stateRoot' | 'versionId', Hex>[];
    versionFile: Hex;
    update: { job: Hex; round: number; runner: Hex; delta: number[]; updateRoot: Hex; file: Hex };
    seeds: { job: Hex; round: number; runner: Hex; seed: Hex }[];
  };
  const padded = Buffer.alloc(256);
  params.forEach((value, i) => padded.writeInt32LE(value, 4 * i));
  const steps = tensors.map(
    ({ name, shape, exponent }) => `{"exponent":${exponent},"name":"${name}","shape":[${shape}]}`,
  );
  for (const version of versions) {
    expect(version.paramsRoot).toBe(hash([2], padded));
    expect(version.stepsHash).toBe(hash(Buffer.from(`[${steps}]`)));
    const { graphHash, paramsRoot, stepsHash, stateRoot } = version;
    expect(hash(graphHash, paramsRoot, stepsHash, stateRoot)).toBe(version.versionId);
  }
  const decoded = decodeVersion(fromHex(versionFile));
  expect([...decoded.params]).toEqual(params);
  expect(decoded.layout.tensors).toEqual(tensors);

  expect([...decodeUpdateFile(fromHex(update.file)).delta]).toEqual(update.delta);
  const values = Buffer.alloc(256);
  update.delta.forEach((value, i) => values.writeInt32LE(value, 4 * i));
  expect(hash([0], values)).toBe(update.updateRoot);
  for (const { job, round, runner, seed } of seeds)
    expect(hash([0x0a], job, little(round, 4), runner)).toBe(seed);
});

function ofNode(sumRoot: Hex, weight: number | string, count: number, children: Hex[]): Hex {
  return hash([4], sumRoot, little(weight, 8), little(count, 4), ...children);
}

function leafOf(index: number, runner: Hex, maxSamples: string): Hex {
  return hash([8], little(index, 4), runner, little(maxSamples, 8));
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
}
