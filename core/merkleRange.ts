/**
 * Trees in pieces: whoever has only a range of a vector's leaves makes the subtrees that lie in it, and the subtrees of
 * all ranges make the root. The subtrees beside a range are its proof (PROTOCOL section 5 has the tree).
 */
import { bytesEqual } from './bytes.js';
import { RoundtableError } from './errors.js';
import type { Hash } from './hex.js';
import {
  leafCount,
  NODE,
  treeDepth,
  VALUES_PER_LEAF,
  valuesRoot,
  zeroHashes,
  type LeafType,
  type LeafValues,
} from './merkle.js';

/** A node over the 2^height leaves that begin with leaf index * 2^height. */
export interface SubtreePlace {
  height: number;
  index: number;
}

/** A range of leaves: the first, and one past the last. */
export interface LeafRange {
  from: number;
  to: number;
}

/** The fewest whole subtrees that make up a range, from left to right; at most twice the tree's depth of them. */
export function subtreesOf({ from, to }: LeafRange): SubtreePlace[] {
  const places: SubtreePlace[] = [];
  for (let at = from; at < to;) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= to) height++;
    places.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return places;
}

/**
 * The roots of subtreesOf(range), 32 bytes each.
 * @param values those of the range alone; only the vector's last leaf may be shorter than 64 values
 * @throws INVALID_INPUT for another number of values than the range has
 */
export function subtreeRoots(
  hash: Hash,
  type: LeafType,
  values: LeafValues,
  { from, to }: LeafRange,
): Uint8Array[] {
  if (leafCount(values.length) !== to - from)
    throw new RoundtableError(
      'INVALID_INPUT',
      `${values.length} values are not those of leaves ${from} to ${to}.`,
    );
  return subtreesOf({ from, to }).map(({ height, index }) => {
    const first = (index * 2 ** height - from) * VALUES_PER_LEAF;
    return valuesRoot(hash, type, values.subarray(first, first + 2 ** height * VALUES_PER_LEAF));
  });
}

/** The upper part of a vector's tree, made from the subtrees of ranges that together are all of it. */
export class TreeOutline {
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #depth: number;
  readonly #zeros: readonly Uint8Array[];

  /** @param leaves of the whole vector */
  constructor(
    private readonly hash: Hash,
    readonly leaves: number,
  ) {
    this.#depth = treeDepth(leaves);
    this.#zeros = zeroHashes(hash, this.#depth);
  }

  /** Takes what subtreeRoots made of a range. @throws INVALID_INPUT for another number of roots */
  add(range: LeafRange, roots: readonly Uint8Array[]): void {
    const places = subtreesOf(range);
    if (roots.length !== places.length || roots.some(({ length }) => length !== 32))
      throw new RoundtableError(
        'INVALID_INPUT',
        `Leaves ${range.from} to ${range.to} have ${places.length} subtrees of 32 bytes, not ${roots.length}.`,
      );
    places.forEach((place, i) => this.#put(place, roots[i] ?? NOTHING));
  }

  /** @throws INVALID_INPUT while ranges are missing */
  get root(): Uint8Array {
    return this.#node({ height: this.#depth, index: 0 });
  }

  /** The roots of the subtrees to the left of a range and to its right: what provenRangeRoot takes. @throws as root */
  proof({ from, to }: LeafRange): Uint8Array[] {
    return besides(this.leaves, { from, to }).map((place) => this.#node(place));
  }

  #node(place: SubtreePlace): Uint8Array {
    const { height, index } = place;
    if (index * 2 ** height >= this.leaves) return this.#zeros[height] ?? NOTHING;
    const known = this.#nodes.get(keyOf(place));
    if (known) return known;
    if (height === 0) throw new RoundtableError('INVALID_INPUT', `Leaf ${index} is in none of the ranges.`);
    const made = parent(
      this.hash,
      this.#node({ height: height - 1, index: 2 * index }),
      this.#node({ height: height - 1, index: 2 * index + 1 }),
    );
    this.#put(place, made);
    return made;
  }

  #put(place: SubtreePlace, root: Uint8Array): void {
    this.#nodes.set(keyOf(place), root);
  }
}

/**
 * The root under which the proof puts a range's subtrees.
 * @param roots of subtreeRoots. @param proof of TreeOutline.proof
 * @returns null when a range, a root or the proof has a form that no tree of so many leaves has
 */
export function provenRangeRoot(
  hash: Hash,
  leaves: number,
  range: LeafRange,
  roots: readonly Uint8Array[],
  proof: readonly Uint8Array[],
): Uint8Array | null {
  const { from, to } = range;
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || from >= to || to > leaves) return null;
  const beside = besides(leaves, range);
  if (beside.length !== proof.length || subtreesOf(range).length !== roots.length) return null;
  if ([...roots, ...proof].some(({ length }) => length !== 32)) return null;
  const outline = new TreeOutline(hash, leaves);
  const before = subtreesOf({ from: 0, to: from }).length;
  outline.add({ from: 0, to: from }, proof.slice(0, before));
  outline.add(range, roots);
  outline.add({ from: to, to: leaves }, proof.slice(before));
  return outline.root;
}

/** True when these are the subtrees of that range under `root`. */
export function verifyRange(
  hash: Hash,
  root: Uint8Array,
  ...proven: [leaves: number, range: LeafRange, roots: readonly Uint8Array[], proof: readonly Uint8Array[]]
): boolean {
  const found = provenRangeRoot(hash, ...proven);
  return found !== null && bytesEqual(found, root);
}

const NOTHING = new Uint8Array(0);

const besides = (leaves: number, { from, to }: LeafRange): SubtreePlace[] => [
  ...subtreesOf({ from: 0, to: from }),
  ...subtreesOf({ from: to, to: leaves }),
];

const keyOf = ({ height, index }: SubtreePlace): string => `${height}/${index}`;

function parent(hash: Hash, left: Uint8Array, right: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(65);
  preimage[0] = NODE;
  preimage.set(left, 1);
  preimage.set(right, 33);
  return hash(preimage);
}
