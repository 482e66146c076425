/** The way from the old parameters to the new (PROTOCOL section 4). */
import type { RoundManifest } from '#core/manifest.js';
import { fedAvg, fedAvgM, velocityStep } from '#core/step.js';
import type { NodeSum } from '#core/sumTree.js';
import { same, Wrong, type Checklist } from './checklist.js';
import { firstDifference } from './difference.js';
import type { OpenedModel } from './version.js';

type Round = RoundManifest['hashed'];
type Opened = NonNullable<OpenedModel>;
type Models = { base: OpenedModel; next: OpenedModel };

/**
 * With server momentum the new parameters follow from the old ones and the archived velocity: that much of the step
 * can be checked by whoever has no updates.
 */
export async function checkVelocity(
  list: Checklist,
  subject: string,
  { spec: { aggregation } }: Round,
  { base, next }: Models,
): Promise<void> {
  if (aggregation.rule !== 'fedavgm' || !base || !next) return;
  await list.check(subject, 'momentum', 'the new parameters from the old and the archived velocity', () => {
    same('the number of velocities', next.velocity?.length ?? 0, next.params.length);
    const params = velocityStep(base.params, next.velocity ?? new Int32Array(), aggregation.rate);
    firstDifference(next.layout, next.params, params, 'parameter', 'the velocity gives');
  });
}

/** @returns whether the step could be recomputed; otherwise the list says on whose word it stands */
export async function checkStep(
  list: Checklist,
  subject: string,
  round: Round,
  { base, next }: Models,
  sum: NodeSum,
): Promise<boolean> {
  if (!base || !next) {
    const why = `the models are sealed; it stands on the word of coordinator ${round.coordinator}`;
    list.unchecked(subject, 'step', 'not recomputed', why);
    return false;
  }
  const how = `${round.spec.aggregation.rule} recomputed from the old version to the new`;
  await list.check(subject, 'step', how, () => compareStep(round, base, next, sum));
  return true;
}

/** @throws Wrong naming the first parameter or velocity that the sum does not lead to */
export function compareStep(
  { spec: { aggregation } }: Round,
  base: Opened,
  next: Opened,
  sum: NodeSum,
): void {
  const differ = (found: Int32Array, expected: Int32Array, what: string) =>
    firstDifference(next.layout, found, expected, what, 'the updates give');
  if (aggregation.rule === 'fedavg') {
    differ(next.params, fedAvg(base.params, sum.values, sum.weight, aggregation.rate), 'parameter');
    if (next.velocity) throw new Wrong('the version has a state that its rule does not know');
    return;
  }
  const { rate, momentum } = aggregation;
  const before = base.velocity ?? new Int32Array(base.params.length);
  const expected = fedAvgM(base.params, before, sum.values, sum.weight, rate, momentum);
  differ(next.velocity ?? new Int32Array(), expected.velocity, 'velocity');
  differ(next.params, expected.params, 'parameter');
}
