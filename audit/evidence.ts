/** What judges are shown: nodes, leaves and chunks of a closed round with their proofs (contracts/Judge.sol). */
import {
  aggregationTree,
  nodeHeader,
  runnerHeader,
  type AggregationNode,
  type RunnerHeader,
} from '#core/commitment.js';
import { fromHex, toHex, type Hash, type Hex } from '#core/hex.js';
import { LEAF, leafBytes, valuesTree, type LeafType, type LeafValues } from '#core/merkle.js';
import type { RobustRule } from '#core/robustRule.js';
import { robustSum } from '#core/robustTree.js';
import { ExactSum } from '#core/sum.js';
import type { ChainClosing } from '#services/chain.js';
import { closingInput } from '#services/chainCalls.js';

export interface RoundFacts {
  closing: ChainClosing;
  /** Word of the opening that it closes. */
  opening: Hex;
  /** In commitment order, as the manifest has them. */
  headers: readonly RunnerHeader[];
  /** Of every node, level by level from the bottom. */
  sumRoots: readonly (readonly Hex[])[];
}

/** A node's place in the aggregation tree; level 0 are the nodes over runners. */
export interface NodeName {
  level: number;
  index: number;
}

type PlaceInput = ReturnType<Evidence['place']>;

/**
 * The commitments of one round. Nothing is checked: what a liar committed to is built as it committed to it, and
 * `root` says whether that is what the chain has.
 */
export class Evidence {
  readonly levels: AggregationNode[][];
  readonly #headers: Uint8Array[][];

  constructor(
    private readonly hash: Hash,
    readonly facts: RoundFacts,
  ) {
    const { headers } = facts;
    this.levels = aggregationTree(headers.length).levels;
    const built = [headers.map((header) => runnerHeader(hash, header))];
    for (const [level, nodes] of this.levels.entries())
      built.push(nodes.map((_, index) => nodeHeader(hash, this.#fields({ level, index }, built))));
    this.#headers = built;
  }

  get root(): Hex {
    return toHex(this.#headers.at(-1)?.[0] ?? new Uint8Array(32));
  }

  get rootName(): NodeName {
    return { level: this.levels.length - 1, index: 0 };
  }

  node(name: NodeName) {
    const { sumRoot, weight, count, children } = this.#fields(name, this.#headers);
    return {
      sumRoot: toHex(sumRoot),
      weight: BigInt(weight),
      count: BigInt(count),
      children: children.map(toHex),
    };
  }

  /** A node with the way to it from the root. */
  place(name: NodeName) {
    const { closing, opening } = this.facts;
    const path = [this.node(name)];
    const turns: bigint[] = [];
    let { index } = name;
    for (let level = name.level + 1; level < this.levels.length; level++) {
      const above = Math.floor(index / 8);
      turns.unshift(BigInt(index - 8 * above));
      path.unshift(this.node({ level, index: above }));
      index = above;
    }
    return {
      job: closing.job,
      round: BigInt(closing.round),
      closing: closingInput(opening, closing),
      path,
      turns,
    };
  }

  /** The node that turns from the root lead to. @throws RangeError where there is none */
  nameAt(turns: readonly number[]): NodeName {
    const level = this.levels.length - 1 - turns.length;
    const index = turns.reduce((at, turn) => 8 * at + turn, 0);
    if (!this.levels[level]?.[index]) throw new RangeError(`No node stands at ${turns.join('.')}.`);
    return { level, index };
  }

  /** The bottom node over a runner, and which of its children the runner is. */
  placeOf(runner: number): { place: PlaceInput; child: bigint } {
    const index = Math.floor(runner / 16);
    return { place: this.place({ level: 0, index }), child: BigInt(runner - 16 * index) };
  }

  leaf(runner: number) {
    const header = this.facts.headers[runner];
    if (!header) throw new RangeError(`The round has no runner ${runner}.`);
    return {
      index: BigInt(header.index),
      runner: header.runner,
      updateRoot: header.updateRoot,
      samples: BigInt(header.samples),
      weight: BigInt(header.weight),
      signatureHash: toHex(this.hash(fromHex(header.signature, 65))),
    };
  }

  #fields({ level, index }: NodeName, built: readonly (readonly Uint8Array[])[]) {
    const node = this.levels[level]?.[index];
    if (!node) throw new RangeError(`The round has no node ${index} on level ${level}.`);
    const [first, end] = node.runners;
    return {
      sumRoot: fromHex(this.facts.sumRoots[level]?.[index] ?? '0x', 32),
      weight: this.facts.headers.slice(first, end).reduce((sum, { weight }) => sum + weight, 0),
      count: end - first,
      children: built[level]?.slice(...node.children) ?? [],
    };
  }
}

/** One chunk of 64 values with its proof. */
export function chunkOf(hash: Hash, type: LeafType, values: LeafValues, index: number) {
  return {
    index: BigInt(index),
    values: toHex(leafBytes(values, index)),
    proof: valuesTree(hash, type, values).proof(index).map(toHex),
  };
}

/** What a bottom node's chunk is added from. */
export function updateChunks(
  hash: Hash,
  evidence: Evidence,
  index: number,
  updates: readonly Int32Array[],
  chunk: number,
) {
  const [first, end] = evidence.levels[0]?.[index]?.runners ?? [0, 0];
  return updates.slice(first, end).map((update, i) => {
    const { values, proof } = chunkOf(hash, LEAF.update, update, chunk);
    return { header: evidence.leaf(first + i), values, proof };
  });
}

/** What an upper node's chunk is added from. @param sums of the level below */
export function sumChunks(
  hash: Hash,
  evidence: Evidence,
  { level, index }: NodeName,
  sums: readonly Float64Array[],
  chunk: number,
) {
  const [first, end] = evidence.levels[level]?.[index]?.children ?? [0, 0];
  return sums.slice(first, end).map((sum, i) => {
    const { values, proof } = chunkOf(hash, LEAF.sum, sum, chunk);
    return { header: evidence.node({ level: level - 1, index: first + i }), values, proof };
  });
}

/** The sums of all nodes, level by level, as the updates give them. @param rule undefined for weighted sums */
export function exactSums(
  levels: readonly (readonly AggregationNode[])[],
  headers: readonly { weight: number }[],
  updates: readonly Int32Array[],
  rule?: RobustRule,
): Float64Array[][] {
  const dimension = updates[0]?.length ?? 0;
  const sums: Float64Array[][] = [];
  for (const [level, nodes] of levels.entries())
    sums.push(
      nodes.map(({ children: [from, to], runners: [first, end] }) => {
        if (rule) {
          const weights = headers.slice(first, end).map(({ weight }) => weight);
          return robustSum(rule, updates.slice(first, end), weights).values;
        }
        if (level === 0) {
          const sum = new ExactSum(dimension);
          sum.addAll(
            updates.slice(from, to),
            headers.slice(from, to).map(({ weight }) => weight),
          );
          return sum.values;
        }
        const total = new Float64Array(dimension);
        for (const part of sums[level - 1]?.slice(from, to) ?? [])
          for (let i = 0; i < dimension; i++) total[i] = (total[i] ?? 0) + (part[i] ?? 0);
        return total;
      }),
    );
  return sums;
}
