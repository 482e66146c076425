import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  LEAF,
  leafBytes,
  leafCount,
  leafHash,
  MerkleTree,
  treeDepth,
  valuesRoot,
  valuesTree,
  verifyProof,
  zeroHashes,
} from '#core/merkle.js';
import { sha256 } from '#services/sha256.js';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const sum = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, -0, 2 ** 53, -(2 ** 53), 2 ** 32, -(2 ** 32), -1),
);

/** The definition, written for one reading: pad to a full tree of 2^depth leaves and hash all of it. */
function fullTreeRoot(leaves: Buffer[]): Buffer {
  let level = leaves;
  while (level.length < 2 ** Math.ceil(Math.log2(leaves.length))) level = [...level, Buffer.alloc(32)];
  while (level.length > 1)
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      createHash('sha256')
        .update(
          Buffer.concat([Buffer.of(0x10), level[2 * i] ?? Buffer.of(), level[2 * i + 1] ?? Buffer.of()]),
        )
        .digest(),
    );
  return level[0] ?? Buffer.of();
}

/** valuesRoot by Buffer's own integers. */
function referenceRoot(type: number, width: 4 | 8, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.ceil(values.length / 64) * 64 * width);
  values.forEach((value, i) =>
    width === 4 ? bytes.writeInt32LE(value, 4 * i) : bytes.writeBigInt64LE(BigInt(value), 8 * i),
  );
  const leaves = Array.from({ length: bytes.length / (64 * width) }, (_, i) =>
    createHash('sha256')
      .update(Buffer.concat([Buffer.of(type), bytes.subarray(64 * width * i, 64 * width * (i + 1))]))
      .digest(),
  );
  return fullTreeRoot(leaves);
}

const leaves = (count: number) => Array.from({ length: count }, (_, i) => sha256(Uint8Array.of(i, i >> 8)));

describe('valuesRoot', () => {
  test('of int32 is the root of the padded little-endian leaves', () => {
    fc.assert(
      fc.property(fc.array(int32, { minLength: 1, maxLength: 700 }), (values) => {
        const root = valuesRoot(sha256, LEAF.update, Int32Array.from(values));
        expect(Buffer.from(root)).toEqual(referenceRoot(0x00, 4, values));
      }),
    );
  });

  test('of sums is the same from doubles and from int64', () => {
    fc.assert(
      fc.property(fc.array(sum, { minLength: 1, maxLength: 300 }), (values) => {
        const expected = referenceRoot(0x01, 8, values);
        expect(Buffer.from(valuesRoot(sha256, LEAF.sum, Float64Array.from(values)))).toEqual(expected);
        expect(Buffer.from(valuesRoot(sha256, LEAF.sum, BigInt64Array.from(values, BigInt)))).toEqual(
          expected,
        );
      }),
    );
  });

  test('distinguishes the kinds of vectors', () => {
    const values = Int32Array.of(1, 2, 3);
    const roots = [LEAF.update, LEAF.params, LEAF.state].map((type) =>
      valuesRoot(sha256, type, values).join(),
    );
    expect(new Set(roots).size).toBe(3);
  });

  test.each([0.5, NaN, Infinity, 2 ** 53 + 2])(
    'refuses the sum %d, which no int64 within 2^53 is',
    (value) => {
      expect(() => valuesRoot(sha256, LEAF.sum, Float64Array.of(0, value))).toThrow('Sum 1 is');
    },
  );

  test('refuses an empty vector', () => {
    expect(() => valuesRoot(sha256, LEAF.update, new Int32Array(0))).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('changes with any single value, also in the last, padded leaf', () => {
    const values = Int32Array.from({ length: 200 }, (_, i) => i);
    const root = valuesRoot(sha256, LEAF.update, values);
    for (const index of [0, 63, 64, 199]) {
      const changed = values.slice();
      changed[index] = -1;
      expect(valuesRoot(sha256, LEAF.update, changed)).not.toEqual(root);
    }
  });
});

describe('a leaf', () => {
  test('can be shown alone and proved against the root of its vector', () => {
    const values = Int32Array.from({ length: 1_000 }, (_, i) => i * 7919 - 3_000_000);
    const tree = valuesTree(sha256, LEAF.params, values);
    for (let i = 0; i < leafCount(1_000); i++) {
      const bytes = leafBytes(values, i);
      expect(bytes.length).toBe(256);
      const hash = leafHash(sha256, LEAF.params, bytes);
      expect(hash).toEqual(tree.leaf(i));
      expect(verifyProof(sha256, tree.root, hash, i, tree.count, tree.proof(i))).toBe(true);
    }
    expect(leafBytes(values, 15).subarray(4 * 40)).toEqual(new Uint8Array(4 * 24));
    expect(leafBytes(Float64Array.of(-1), 0).subarray(0, 9)).toEqual(
      Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 0),
    );
    expect(() => leafBytes(values, 16)).toThrow('Leaf 16 of 16 does not exist');
  });
});

describe('MerkleTree', () => {
  test('is the full positional tree with zeros for what is missing, at every size', () => {
    for (let count = 1; count <= 40; count++) {
      const tree = new MerkleTree(sha256, leaves(count));
      expect(tree.depth).toBe(Math.ceil(Math.log2(count)));
      expect(Buffer.from(tree.root)).toEqual(fullTreeRoot(leaves(count).map((leaf) => Buffer.from(leaf))));
    }
  });

  test('every proof verifies at its own place and at no other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(), fc.nat(), (count, a, b) => {
        const tree = new MerkleTree(sha256, leaves(count));
        const index = a % count;
        const other = b % count;
        const proof = tree.proof(index);
        expect(verifyProof(sha256, tree.root, tree.leaf(index), index, count, proof)).toBe(true);
        expect(verifyProof(sha256, tree.root, tree.leaf(index), other, count, proof)).toBe(index === other);
      }),
    );
  });

  test('a proof of another length, index, hash or count is refused', () => {
    const tree = new MerkleTree(sha256, leaves(5));
    const proof = tree.proof(4);
    const leaf = tree.leaf(4);
    expect(verifyProof(sha256, tree.root, leaf, 4, 5, proof)).toBe(true);
    expect(verifyProof(sha256, tree.root, leaf, 4, 5, proof.slice(1))).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, 4, 5, [...proof, new Uint8Array(32)])).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, 4, 4, proof)).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, 12, 13, proof)).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, -4, 5, proof)).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, 4.5, 5, proof)).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf, 4, 0, proof)).toBe(false);
    expect(verifyProof(sha256, tree.root, leaf.slice(1), 4, 5, proof)).toBe(false);
    expect(
      verifyProof(
        sha256,
        tree.root,
        leaf,
        4,
        5,
        proof.map((sibling) => sibling.slice(1)),
      ),
    ).toBe(false);
    expect(verifyProof(sha256, tree.root.slice(1), leaf, 4, 5, proof)).toBe(false);
  });

  test('an inner node cannot be shown as a leaf', () => {
    const tree = new MerkleTree(sha256, leaves(4));
    const [sibling, upper] = tree.proof(0);
    const node = sha256(Uint8Array.of(0x10, ...tree.leaf(0), ...(sibling ?? [])));
    expect(verifyProof(sha256, tree.root, node, 0, 2, [upper ?? node])).toBe(true);
    // … which is why a verifier takes the count from the commitment, never from whoever brings the proof.
    expect(verifyProof(sha256, tree.root, node, 0, 4, [upper ?? node])).toBe(false);
  });

  test('has at least one leaf, and only leaves of 32 bytes', () => {
    expect(() => new MerkleTree(sha256, [])).toThrow('A tree has 1 to 2^32 leaves, not 0');
    expect(() => new MerkleTree(sha256, [new Uint8Array(31)])).toThrow('leaf 0 has 31');
    expect(() => new MerkleTree(sha256, new Uint8Array(33))).toThrow('A tree has 1 to 2^32 leaves');
    expect(() => new MerkleTree(sha256, leaves(3)).proof(3)).toThrow('Leaf 3 of 3 does not exist');
  });

  test('depths are exact at powers of two', () => {
    expect([1, 2, 3, 4, 5, 8, 9, 2 ** 31, 2 ** 31 + 1, 2 ** 32].map(treeDepth)).toEqual([
      0, 1, 2, 2, 3, 3, 4, 31, 32, 32,
    ]);
  });

  test('missing subtrees are the zero hashes', () => {
    const zeros = zeroHashes(sha256, 3);
    expect(zeros[0]).toEqual(new Uint8Array(32));
    expect(zeros[2]).toEqual(sha256(Uint8Array.of(0x10, ...(zeros[1] ?? []), ...(zeros[1] ?? []))));
    expect(new MerkleTree(sha256, leaves(5)).proof(4)).toEqual([zeros[0], zeros[1], expect.any(Uint8Array)]);
  });
});
