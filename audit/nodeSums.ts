/**
 * The sums of a round's nodes, as its updates give them. At most the updates of one bottom node are in memory; under a
 * robust rule those of the node that is asked for.
 */
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { RobustRule } from '#core/robustRule.js';
import { robustSum } from '#core/robustTree.js';
import { ExactSum } from '#core/sum.js';
import type { NodeSum } from '#core/sumTree.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import type { SignedHeader } from './accused.js';
import type { Evidence, NodeName } from './evidence.js';
import type { AuditSources } from './sources.js';

/** An update that is not to be had, or is not what was signed. */
export class NotAtHand extends Error {}

export interface Summed {
  evidence: Evidence;
  headers: readonly SignedHeader[];
  job: Hex;
  round: number;
  dimension: number;
  /** Undefined for the weighted sum. */
  rule: RobustRule | undefined;
}

/**
 * What a node commits to: the weighted sum of the updates below it, or what the job's robust rule has in its place.
 * @param onSum is called for every node below and at last for this one, as soon as it is summed
 * @throws NotAtHand
 */
export async function sumOfNode(
  sources: Pick<AuditSources, 'hash' | 'updateSource'>,
  summed: Summed,
  name: NodeName,
  onSum: (name: NodeName, sum: Float64Array) => void = () => undefined,
): Promise<NodeSum> {
  const { evidence, headers, dimension, rule } = summed;
  const node = evidence.levels[name.level]?.[name.index];
  const weights = headers.slice(...(node?.runners ?? [0, 0])).map(({ weight }) => weight);
  const sum = new ExactSum(dimension);
  if (name.level === 0 && !rule) sum.addAll(await updatesUnder(sources, summed, name), weights);
  const [from, to] = name.level === 0 ? [0, 0] : (node?.children ?? [0, 0]);
  for (let index = from; index < to; index++) {
    const below = await sumOfNode(sources, summed, { level: name.level - 1, index }, onSum);
    if (!rule) sum.addSum(below);
  }
  const total = rule ? robustSum(rule, await updatesUnder(sources, summed, name), weights) : sum;
  onSum(name, total.values);
  return total;
}

/** All updates under a node. @throws NotAtHand */
export function updatesUnder(
  sources: Pick<AuditSources, 'hash' | 'updateSource'>,
  summed: Summed,
  { level, index }: NodeName,
): Promise<Int32Array[]> {
  const [from, to] = summed.evidence.levels[level]?.[index]?.runners ?? [0, 0];
  return Promise.all(summed.headers.slice(from, to).map((header) => readUpdate(sources, summed, header)));
}

async function readUpdate(
  { hash, updateSource }: Pick<AuditSources, 'hash' | 'updateSource'>,
  { job, round, dimension }: Summed,
  { runner, updateRoot }: SignedHeader,
): Promise<Int32Array> {
  const file = await updateSource?.({ job, round, runner, updateRoot });
  if (!file)
    throw new NotAtHand(
      updateSource ? `the update of runner ${runner} is not at hand` : 'no updates are at hand',
    );
  const delta = deltaOf(file, runner);
  if (delta.length !== dimension || toHex(valuesRoot(hash, LEAF.update, delta)) !== updateRoot)
    throw new NotAtHand(
      `the update of runner ${runner} that is at hand is not the one that was committed to`,
    );
  return delta;
}

function deltaOf(file: Uint8Array, runner: Hex): Int32Array {
  try {
    return decodeUpdateFile(file).delta;
  } catch {
    throw new NotAtHand(`the update of runner ${runner} that is at hand cannot be read`);
  }
}
