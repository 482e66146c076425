/**
 * The commitments of a round form the tree in which its updates are added (PROTOCOL section 5), so a proof costs
 * the same for 16 runners and for 16,000.
 */
import { ByteWriter, type Uint } from './bytes.js';
import { RoundtableError } from './errors.js';
import { fromHex, type Hash, type Hex, type RunnerId } from './hex.js';
import { LEAF } from './merkle.js';

export const RUNNERS_PER_NODE = 16;
export const NODES_PER_NODE = 8;

export interface RunnerHeader {
  /** Place among the round's committed runners, which are ascending by address. */
  index: number;
  runner: RunnerId;
  updateRoot: Hex;
  samples: Uint;
  weight: number;
  /** EIP-712 signature, 65 bytes r ‖ s ‖ v. */
  signature: Hex;
}

export interface NodeHeader {
  /** valuesRoot of the weighted sum of everything below, as sums. */
  sumRoot: Uint8Array;
  /** Sum of the weights of all runners below. */
  weight: Uint;
  /** Number of runners below. */
  count: number;
  /** Headers of the runners or nodes directly below, in order. */
  children: readonly Uint8Array[];
}

/** H(0x03 ‖ index u32 ‖ runner 20 ‖ updateRoot 32 ‖ samples u64 ‖ weight u32 ‖ H(signature)). */
export function runnerHeader(hash: Hash, header: RunnerHeader): Uint8Array {
  return hash(
    new ByteWriter(101)
      .u8(LEAF.runner)
      .u32(header.index)
      .bytes(fromHex(header.runner), 20)
      .bytes(fromHex(header.updateRoot), 32)
      .u64(header.samples)
      .u32(header.weight)
      .bytes(hash(fromHex(header.signature, 65)), 32)
      .finish(),
  );
}

/** H(0x04 ‖ sumRoot ‖ weight u64 ‖ count u32 ‖ children…). @throws INVALID_INPUT unless it has 1 to 16 children */
export function nodeHeader(hash: Hash, { sumRoot, weight, count, children }: NodeHeader): Uint8Array {
  if (children.length < 1 || children.length > RUNNERS_PER_NODE)
    throw new RoundtableError('INVALID_INPUT', `A node has 1 to 16 children, not ${children.length}.`);
  const preimage = new ByteWriter(45 + 32 * children.length)
    .u8(LEAF.node)
    .bytes(sumRoot, 32)
    .u64(weight)
    .u32(count);
  for (const child of children) preimage.bytes(child, 32);
  return hash(preimage.finish());
}

/** A node of the aggregation tree: which children it has on the level below, and which runners altogether. */
export interface AggregationNode {
  /** First and one past the last child: runners under a bottom node, nodes of the level below otherwise. */
  children: [from: number, to: number];
  /** First and one past the last runner. */
  runners: [from: number, to: number];
}

/**
 * The shape of the tree for `runners` updates: levels[0] are the bottom nodes, the last level is the root alone.
 * @throws INVALID_INPUT for no runners
 */
export function aggregationTree(runners: number): { levels: AggregationNode[][] } {
  if (!Number.isInteger(runners) || runners < 1)
    throw new RoundtableError('INVALID_INPUT', `An aggregation needs at least one runner, not ${runners}.`);
  let level = groups(runners, RUNNERS_PER_NODE).map((range): AggregationNode => ({
    children: range,
    runners: range,
  }));
  const levels = [level];
  while (level.length > 1) {
    const below = level;
    level = groups(below.length, NODES_PER_NODE).map(([from, to]): AggregationNode => {
      const inside = below.slice(from, to);
      return {
        children: [from, to],
        runners: [inside[0]?.runners[0] ?? 0, inside.at(-1)?.runners[1] ?? runners],
      };
    });
    levels.push(level);
  }
  return { levels };
}

/**
 * The header of every node, level by level; the root header, which goes on chain, is the last one alone.
 * @param runners headers in commitment order, ascending by runner, with indices 0, 1, 2, …
 * @param sumRoots of every node, level by level as in aggregationTree
 * @throws INVALID_INPUT when order, indices or the numbers of roots are wrong
 */
export function aggregationHeaders(
  hash: Hash,
  runners: readonly RunnerHeader[],
  sumRoots: readonly (readonly Uint8Array[])[],
): Uint8Array[][] {
  runners.forEach(({ index, runner }, i) => {
    const before = runners[i - 1];
    if (index !== i || (before && before.runner.toLowerCase() >= runner.toLowerCase()))
      throw new RoundtableError(
        'INVALID_INPUT',
        `Runner headers are numbered from 0, ascending by address; see ${runner}.`,
      );
  });
  const { levels } = aggregationTree(runners.length);
  if (sumRoots.length !== levels.length)
    throw new RoundtableError(
      'INVALID_INPUT',
      `${runners.length} runners have ${levels.length} levels of sums.`,
    );
  let below = runners.map((header) => runnerHeader(hash, header));
  return levels.map((level, height) => {
    const roots = sumRoots[height] ?? [];
    if (roots.length !== level.length)
      throw new RoundtableError(
        'INVALID_INPUT',
        `Level ${height} has ${level.length} nodes, but ${roots.length} sum roots.`,
      );
    below = level.map(({ children: [from, to], runners: [first, last] }, i) =>
      nodeHeader(hash, {
        sumRoot: roots[i] ?? new Uint8Array(0),
        weight: runners.slice(first, last).reduce((sum, { weight }) => sum + weight, 0),
        count: last - first,
        children: below.slice(from, to),
      }),
    );
    return below;
  });
}

function groups(count: number, size: number): [number, number][] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => [
    i * size,
    Math.min(count, (i + 1) * size),
  ]);
}
