/** The sums of a round's nodes, as its updates give them; at most the updates of one bottom node are in memory. */
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { ExactSum } from '#core/sum.js';
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
}

/**
 * @param onSum is called for every node below and at last for this one, as soon as it is summed
 * @throws NotAtHand
 */
export async function sumOfNode(
  sources: Pick<AuditSources, 'hash' | 'updateSource'>,
  summed: Summed,
  name: NodeName,
  onSum: (name: NodeName, sum: Float64Array) => void = () => undefined,
): Promise<ExactSum> {
  const { evidence, headers, dimension } = summed;
  const [from, to] = evidence.levels[name.level]?.[name.index]?.children ?? [0, 0];
  const sum = new ExactSum(dimension);
  if (name.level === 0)
    sum.addAll(
      await updatesUnder(sources, summed, name.index),
      headers.slice(from, to).map(({ weight }) => weight),
    );
  else
    for (let index = from; index < to; index++)
      sum.addSum(await sumOfNode(sources, summed, { level: name.level - 1, index }, onSum));
  onSum(name, sum.values);
  return sum;
}

/** The updates under a bottom node. @throws NotAtHand */
export function updatesUnder(
  sources: Pick<AuditSources, 'hash' | 'updateSource'>,
  summed: Summed,
  bottom: number,
): Promise<Int32Array[]> {
  const [from, to] = summed.evidence.levels[0]?.[bottom]?.runners ?? [0, 0];
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
