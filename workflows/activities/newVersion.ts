/** From a round's sum to its version: the step, and what is stored and committed of it. */
import { aggregationHeaders } from '#core/commitment.js';
import { RoundtableError } from '#core/errors.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { Layout } from '#core/layout.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import { sha256 } from '#services/sha256.js';
import type { Aggregate, AggregateInput } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { storeVersion } from './versions.js';

/** What a sum has led to: the version is stored, the headers make the root of the round. */
export async function storeAggregate(
  deps: Dependencies,
  { base, updates }: Pick<AggregateInput, 'base' | 'updates'>,
  made: {
    layout: Layout;
    params: Int32Array;
    velocity: Int32Array | null;
    sumRoots: Hex[][];
    weights: number[];
  },
): Promise<Aggregate> {
  const { layout, params, velocity, sumRoots, weights } = made;
  const version = await storeVersion(deps, { graph: base.graph, layout, params, velocity });
  const headers = aggregationHeaders(
    sha256,
    updates.map((update, index) => ({ ...update, index, weight: weights[index] ?? 0 })),
    sumRoots.map((level) => level.map((root) => fromHex(root, 32))),
  );
  const rootHeader = headers.at(-1)?.[0];
  if (!rootHeader) throw new RoundtableError('INTERNAL', 'The aggregation tree has no root.');
  return { version, sumRoots, rootHeader: toHex(rootHeader), weights };
}

/** The next parameters, or a range of them. */
export function step(
  { aggregation }: JobSpec,
  params: Int32Array,
  velocity: Int32Array | null,
  sum: Float64Array,
  total: number,
): { params: Int32Array; velocity: Int32Array | null } {
  switch (aggregation.rule) {
    case 'fedavg':
      return { params: fedAvg(params, sum, total, aggregation.rate), velocity: null };
    case 'fedavgm':
      return fedAvgM(
        params,
        velocity ?? new Int32Array(params.length),
        sum,
        total,
        aggregation.rate,
        aggregation.momentum,
      );
  }
}
