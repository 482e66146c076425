/** Trees over vectors and lists (PROTOCOL section 5): positional, zero-padded, one type byte per kind of leaf. */
import { bytesEqual, bytesOf } from './bytes.js';
import { RoundtableError } from './errors.js';
import { type Hash } from './hex.js';

/** First byte of every hashed preimage, so that one kind never passes for another. */
export const LEAF = {
  update: 0x00,
  sum: 0x01,
  params: 0x02,
  runner: 0x03,
  node: 0x04,
  reward: 0x05,
  state: 0x06,
  open: 0x07,
  selection: 0x08,
  delta: 0x09,
  seed: 0x0a,
  seal: 0x0b,
} as const;
export type LeafType = (typeof LEAF)[keyof typeof LEAF];

/** First byte of an inner node of any tree. */
export const NODE = 0x10;

export const VALUES_PER_LEAF = 64;

/** int32 values, or int64 sums: as BigInt64Array, or held exactly as float64 (|value| ≤ 2^53) and hashed as int64. */
export type LeafValues = Int32Array | BigInt64Array | Float64Array;

export function leafCount(dimension: number): number {
  return Math.ceil(dimension / VALUES_PER_LEAF);
}

/** ceil(log2(leaves)), the length of every proof. */
export function treeDepth(leaves: number): number {
  if (!Number.isInteger(leaves) || leaves < 1 || leaves > 2 ** 32)
    throw new RoundtableError('INVALID_INPUT', `A tree has 1 to 2^32 leaves, not ${leaves}.`);
  return leaves === 1 ? 0 : 32 - Math.clz32(leaves - 1);
}

/** H(type ‖ bytes): a leaf over bytes that already have their final form. */
export function leafHash(hash: Hash, type: LeafType, bytes: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(1 + bytes.length);
  preimage[0] = type;
  preimage.set(bytes, 1);
  return hash(preimage);
}

/** The 256 bytes (int32) or 512 bytes (sums) of leaf `index`, the last one padded with zeros. */
export function leafBytes(values: LeafValues, index: number): Uint8Array {
  if (!Number.isInteger(index) || index < 0 || index >= leafCount(values.length))
    throw new RoundtableError(
      'INVALID_INPUT',
      `Leaf ${index} of ${leafCount(values.length)} does not exist.`,
    );
  return padded(valueBytes(values, index * VALUES_PER_LEAF, (index + 1) * VALUES_PER_LEAF), leafSize(values));
}

/** The tree over a vector, 64 values a leaf, with its proofs. Keeps 64 bytes for every leaf. */
export function valuesTree(hash: Hash, type: LeafType, values: LeafValues): MerkleTree {
  const size = leafSize(values);
  const hashes = new Uint8Array(32 * leafCount(values.length));
  for (let from = 0; from < values.length; from += VALUES_AT_ONCE) {
    const bytes = valueBytes(values, from, from + VALUES_AT_ONCE);
    const whole = bytes.length - (bytes.length % size);
    const at = (32 * from) / VALUES_PER_LEAF;
    hashes.set(hashEach(hash, type, bytes.subarray(0, whole), size), at);
    if (whole < bytes.length)
      hashes.set(leafHash(hash, type, padded(bytes.subarray(whole), size)), at + (32 * whole) / size);
  }
  return new MerkleTree(hash, hashes);
}

/** Root of valuesTree. */
export function valuesRoot(hash: Hash, type: LeafType, values: LeafValues): Uint8Array {
  return valuesTree(hash, type, values).root;
}

/** A positional tree: what is missing to the right counts as zeros, Z_0 = 32 zero bytes, Z_{h+1} = H(0x10 ‖ Z_h ‖ Z_h). */
export class MerkleTree {
  readonly count: number;
  readonly depth: number;
  /** levels[h] holds the hashes at height h, 32 bytes each, without the missing ones; the last is the root. */
  readonly #levels: Uint8Array[];
  readonly #zeros: Uint8Array[];

  /** @param leaves leaf hashes, as a list or 32 bytes each in one array; at least one */
  constructor(hash: Hash, leaves: readonly Uint8Array[] | Uint8Array) {
    let level = leaves instanceof Uint8Array ? leaves : joined(checkedLeaves(leaves));
    this.count = level.length / 32;
    this.depth = treeDepth(this.count);
    this.#zeros = zeroHashes(hash, this.depth);
    this.#levels = [level];
    for (let height = 0; height < this.depth; height++) {
      const pairs = level.length % 64 === 0 ? level : joined([level, this.#zeros[height] ?? ZEROS]);
      level = hashEach(hash, NODE, pairs, 64);
      this.#levels.push(level);
    }
  }

  get root(): Uint8Array {
    return this.#at(this.depth, 0);
  }

  leaf(index: number): Uint8Array {
    this.#check(index);
    return this.#at(0, index);
  }

  /** Siblings from the leaf upwards, `depth` of them. */
  proof(index: number): Uint8Array[] {
    this.#check(index);
    return Array.from({ length: this.depth }, (_, height) =>
      this.#at(height, Math.floor(index / 2 ** height) ^ 1),
    );
  }

  #at(height: number, position: number): Uint8Array {
    const level = this.#levels[height] ?? ZEROS;
    return 32 * position < level.length
      ? level.slice(32 * position, 32 * position + 32)
      : (this.#zeros[height] ?? ZEROS).slice();
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.count)
      throw new RoundtableError('INVALID_INPUT', `Leaf ${index} of ${this.count} does not exist.`);
  }
}

/** True when `leafHash` is leaf `index` of the `count` under `root`; false for any other length, index or hash. */
export function verifyProof(
  hash: Hash,
  root: Uint8Array,
  leafHash: Uint8Array,
  index: number,
  count: number,
  proof: readonly Uint8Array[],
): boolean {
  const proven = provenRoot(hash, leafHash, index, count, proof);
  return proven !== null && bytesEqual(proven, root);
}

/** The root under which `proof` puts leaf `index` of `count`; null for lengths or an index that no tree has. */
export function provenRoot(
  hash: Hash,
  leafHash: Uint8Array,
  index: number,
  count: number,
  proof: readonly Uint8Array[],
): Uint8Array | null {
  if (!Number.isInteger(count) || count < 1 || count > 2 ** 32) return null;
  if (!Number.isInteger(index) || index < 0 || index >= count || proof.length !== treeDepth(count))
    return null;
  if (leafHash.length !== 32 || proof.some((sibling) => sibling.length !== 32)) return null;
  let current = leafHash;
  let position = index;
  const preimage = new Uint8Array(65);
  preimage[0] = NODE;
  for (const sibling of proof) {
    const isRight = position % 2 === 1;
    preimage.set(isRight ? sibling : current, 1);
    preimage.set(isRight ? current : sibling, 33);
    current = hash(preimage);
    position = Math.floor(position / 2);
  }
  return current;
}

/** Z_0 … Z_depth: the hash of a subtree of each height in which every leaf is missing. */
export function zeroHashes(hash: Hash, depth: number): Uint8Array[] {
  const zeros: Uint8Array[] = [new Uint8Array(32)];
  for (let height = 0; height < depth; height++) {
    const below = zeros[height] ?? ZEROS;
    const preimage = new Uint8Array(65);
    preimage[0] = NODE;
    preimage.set(below, 1);
    preimage.set(below, 33);
    zeros.push(hash(preimage));
  }
  return zeros;
}

const ZEROS = new Uint8Array(32);

/** So many values are brought into their final form at a time, where they are not in it already. */
const VALUES_AT_ONCE = 1024 * VALUES_PER_LEAF;

function hashEach(hash: Hash, type: LeafType | typeof NODE, messages: Uint8Array, size: number): Uint8Array {
  if (hash.each) return hash.each(type, messages, size);
  const hashes = new Uint8Array((32 * messages.length) / size);
  const preimage = new Uint8Array(1 + size);
  preimage[0] = type;
  for (let from = 0, at = 0; from < messages.length; from += size, at += 32) {
    preimage.set(messages.subarray(from, from + size), 1);
    hashes.set(hash(preimage), at);
  }
  return hashes;
}

function leafSize(values: LeafValues): number {
  return VALUES_PER_LEAF * (values instanceof Int32Array ? 4 : 8);
}

/** The values from one index up to another (or the end) as they are hashed, little-endian. */
function valueBytes(values: LeafValues, from: number, to: number): Uint8Array {
  if (!(values instanceof Float64Array)) return bytesOf(values.subarray(from, to));
  const words = new Int32Array(2 * (Math.min(to, values.length) - from));
  for (let i = 0; i < words.length; i += 2) {
    const value = values[from + i / 2] ?? 0;
    if (!(Math.abs(value) <= 2 ** 53) || Math.trunc(value) !== value)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Sum ${from + i / 2} is ${value}, not an integer within 2^53.`,
      );
    words[i] = value; // Stored modulo 2^32.
    words[i + 1] = Math.floor(value * 2 ** -32);
  }
  return bytesOf(words);
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  const all = new Uint8Array(size);
  all.set(bytes);
  return all;
}

function checkedLeaves(leaves: readonly Uint8Array[]): readonly Uint8Array[] {
  leaves.forEach((leaf, i) => {
    if (leaf.length !== 32)
      throw new RoundtableError('INVALID_INPUT', `A leaf hash has 32 bytes; leaf ${i} has ${leaf.length}.`);
  });
  return leaves;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
