import { toHex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { Layout } from '#core/layout.js';
import { leafCount } from '#core/merkle.js';
import { TreeOutline, type LeafRange } from '#core/merkleRange.js';
import { valuesOf } from '#core/shards.js';
import type { SumPart } from '#core/sumPart.js';
import { weightOf } from '#core/weights.js';
import { sha256 } from '#services/sha256.js';
import type { Aggregate, AggregateInput } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { step, storeAggregate } from './newVersion.js';
import { loadVersion } from './versions.js';

/** The next version, made range by range of its parameters from the sum in that range. */
export class VersionInRanges {
  readonly #next: Int32Array;
  readonly #nextVelocity: Int32Array | null;
  readonly #trees: TreeOutline[][] = [];

  private constructor(
    private readonly deps: Dependencies,
    private readonly input: AggregateInput,
    private readonly base: { layout: Layout; params: Int32Array; velocity: Int32Array | null },
    /** Of the updates, in the order of their commitment. */
    readonly weights: number[],
  ) {
    const { dimension } = base.layout;
    this.#next = new Int32Array(dimension);
    this.#nextVelocity = this.#spec.aggregation.rule === 'fedavgm' ? new Int32Array(dimension) : null;
  }

  static async from(deps: Dependencies, input: AggregateInput): Promise<VersionInRanges> {
    const base = await loadVersion(deps, input.base);
    const weights = input.updates.map(({ samples }) => weightOf(samples, input.opening.shift));
    return new VersionInRanges(deps, input, base, weights);
  }

  /** Ranges may come in any order. @throws STEP_OUT_OF_RANGE */
  add(range: LeafRange, { values, roots }: SumPart): void {
    const { layout, params, velocity } = this.base;
    const [from, to] = valuesOf(layout.dimension, range);
    roots.forEach((level, height) =>
      level.forEach((subtrees, node) => {
        const tree = ((this.#trees[height] ??= [])[node] ??= new TreeOutline(
          sha256,
          leafCount(layout.dimension),
        ));
        tree.add(range, subtrees);
      }),
    );
    const stepped = step(
      this.#spec,
      params.subarray(from, to),
      velocity?.subarray(from, to) ?? null,
      values,
      this.weights.reduce((sum, weight) => sum + weight, 0),
    );
    this.#next.set(stepped.params, from);
    if (stepped.velocity) this.#nextVelocity?.set(stepped.velocity, from);
  }

  /** Once every range was added. */
  store(): Promise<Aggregate> {
    return storeAggregate(this.deps, this.input, {
      layout: this.base.layout,
      params: this.#next,
      velocity: this.#nextVelocity,
      sumRoots: this.#trees.map((level) => level.map((tree) => toHex(tree.root))),
      weights: this.weights,
    });
  }

  get #spec(): JobSpec {
    return this.input.prepared.spec;
  }
}
