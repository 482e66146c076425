import type { Hex } from '#core/hex.js';
import type { RobustRule } from '#core/robustRule.js';
import { jobSpec, type JobSpec } from '#core/jobSpec.js';

export const rounds = 2;

/** The spec of every history; `model` is its model file's hash. */
export function specOf(model: Hex, rule: 'fedavg' | 'fedavgm', robust?: RobustRule): JobSpec {
  const rate = { numerator: 1, denominator: 1 };
  const momentum = { numerator: 9, denominator: 10 };
  return jobSpec.parse({
    version: 1,
    name: 'audited',
    data: { contract: 'flowers', input: [4], classes: 3 },
    rounds,
    start: 'model',
    model: { sha256: model },
    evaluation: null,
    training: { optimizer: { name: 'sgd', lr: 0.1 } },
    aggregation: {
      ...(rule === 'fedavg' ? { rule, rate } : { rule, rate, momentum }),
      ...(robust && { robust }),
    },
    participants: { quorum: robust ? 3 : 2 },
    rewards: { budget: '1001' },
    archive: { recipients: null },
    updates: { recipients: [{ member: `0x${'c'.repeat(40)}`, publicKey: `0x${'5e'.repeat(32)}` }] },
  });
}
