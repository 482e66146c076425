/** Recomputes a round's sum and step from the updates, when they are at hand (PROTOCOL sections 3 and 4). */
import { aggregationTree } from '#core/commitment.js';
import { toHex } from '#core/hex.js';
import type { RoundManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import { ExactSum } from '#core/sum.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { OpenedModel } from './documents.js';
import type { AuditSources } from './sources.js';

type Round = RoundManifest['hashed'];

/** @returns whether the new version was recomputed; otherwise the list says on whose word it stands */
export async function checkSum(
  list: Checklist,
  sources: AuditSources,
  subject: string,
  round: Round,
  models: { base: OpenedModel; next: OpenedModel },
): Promise<boolean> {
  const updates = await readUpdates(sources, round);
  if (typeof updates === 'string') {
    list.unchecked(
      subject,
      'sum',
      'not recomputed',
      `${updates}; it stands on the word of coordinator ${round.coordinator}`,
    );
    return false;
  }
  const { base, next } = models;
  const sum = await list.check(subject, 'sum', 'recomputed from all updates, to the bit', (say) => {
    const total = sumOf(sources, round, updates);
    say(`${updates.length} updates`);
    return total;
  });
  if (!base || !next) {
    list.unchecked(
      subject,
      'step',
      'not recomputed',
      `the models are sealed; it stands on the word of coordinator ${round.coordinator}`,
    );
    return false;
  }
  await list.check(
    subject,
    'step',
    `${round.spec.aggregation.rule} recomputed from the old version to the new`,
    () => checkStep(round, base, next, sum),
  );
  return true;
}

/** Every update, checked against its signed root; a reason when they are not all at hand. */
async function readUpdates(
  sources: AuditSources,
  { headers, opening }: Round,
): Promise<Int32Array[] | string> {
  if (!sources.updateSource) return 'no updates are at hand';
  const updates: Int32Array[] = [];
  for (const { runner, updateRoot } of headers) {
    const { job, round } = opening;
    const file = await sources.updateSource({ job, round, runner, updateRoot });
    if (!file) return `the update of runner ${runner} is not at hand`;
    const { header, delta } = decodeUpdateFile(file);
    if (header.job !== opening.job || header.round !== opening.round || header.runner !== runner)
      return `the file of runner ${runner} is for another job, round or runner`;
    updates.push(delta);
  }
  return updates;
}

/** Sums node by node, comparing each with its committed root. */
function sumOf(
  sources: AuditSources,
  { headers, sumRoots }: Round,
  updates: readonly Int32Array[],
): ExactSum {
  const dimension = updates[0]?.length ?? 0;
  for (const [i, update] of updates.entries()) {
    const header = headers[i];
    const root = toHex(valuesRoot(sources.hash, LEAF.update, update));
    if (header && root !== header.updateRoot)
      throw new Wrong(
        `the update of runner ${header.runner} has the root ${root}, and ${header.updateRoot} was signed`,
      );
    if (update.length !== dimension)
      throw new Wrong(
        `the update of runner ${header?.runner ?? i} has ${update.length} values, others ${dimension}`,
      );
  }
  const { levels } = aggregationTree(updates.length);
  let below: ExactSum[] = [];
  levels.forEach((level, height) => {
    below = level.map(({ children: [from, to] }, index) => {
      const sum = new ExactSum(dimension);
      if (height === 0)
        sum.addAll(
          updates.slice(from, to),
          headers.slice(from, to).map(({ weight }) => weight),
        );
      else for (const part of below.slice(from, to)) sum.addSum(part);
      same(
        `the sum of node ${index} of level ${height}`,
        sumRoots[height]?.[index],
        toHex(valuesRoot(sources.hash, LEAF.sum, sum.values)),
      );
      return sum;
    });
  });
  const [top] = below;
  if (!top) throw new Wrong('the round has no updates');
  return top;
}

function checkStep(
  round: Round,
  base: NonNullable<OpenedModel>,
  next: NonNullable<OpenedModel>,
  sum: ExactSum,
): void {
  const { aggregation } = round.spec;
  const expected =
    aggregation.rule === 'fedavg'
      ? { params: fedAvg(base.params, sum.values, sum.weight, aggregation.rate), velocity: null }
      : fedAvgM(
          base.params,
          base.velocity ?? new Int32Array(base.params.length),
          sum.values,
          sum.weight,
          aggregation.rate,
          aggregation.momentum,
        );
  firstDifference(next, next.params, expected.params, 'parameter');
  if (expected.velocity)
    firstDifference(next, next.velocity ?? new Int32Array(0), expected.velocity, 'velocity');
  else if (next.velocity) throw new Wrong('the version has a state that its rule does not know');
}

/** @throws Wrong naming tensor and index */
function firstDifference(
  { layout }: NonNullable<OpenedModel>,
  found: Int32Array,
  expected: Int32Array,
  what: string,
): void {
  same(`the number of values`, found.length, expected.length);
  const at = expected.findIndex((value, i) => value !== found[i]);
  if (at < 0) return;
  const tensor = layout.tensors.find(({ offset, size }) => at >= offset && at < offset + size);
  throw new Wrong(
    `${what} ${at - (tensor?.offset ?? 0)} of tensor ${tensor?.name ?? '?'} is ${found[at]}, and the updates give ${expected[at]}`,
  );
}
