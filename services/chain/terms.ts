import type { JobSpec } from '#core/jobSpec.js';
import type { RobustRule } from '#core/robustRule.js';
import type { Fraction } from '#core/step.js';

/** The part of a job's spec that the judges need, as its creation declares it on chain. */
export interface JobTerms {
  /** Parameters of the model. */
  dimension: number;
  /** 1 FedAvg, 2 FedAvgM; 0 for a step that no contract recomputes. And four times the trim of a robust rule. */
  rule: number;
  rate: Fraction;
  /** 0/1 for FedAvg. */
  momentum: Fraction;
  /** Drawn members that must sign a closing, 0 for none. */
  attesters: number;
  /** Most samples that a runner may claim, 0 for no cap. */
  sampleCap: number;
}

/** The terms that a spec means; whoever reads a job compares them with those on chain. */
export function termsOf({ aggregation, attesters = 0, data }: JobSpec, dimension: number): JobTerms {
  const { rate, robust } = aggregation;
  const common = { dimension, rate, attesters, sampleCap: data.mostSamples ?? 0 };
  const trim = 4 * (robust ? trimOf(robust) : 0);
  switch (aggregation.rule) {
    case 'fedavg':
      return { ...common, rule: 1 + trim, momentum: { numerator: 0, denominator: 1 } };
    case 'fedavgm':
      return { ...common, rule: 2 + trim, momentum: aggregation.momentum };
  }
}

/** How the parameters follow from a round's sum: 1 FedAvg, 2 FedAvgM, 0 as no contract knows. */
export function stepRule({ rule }: JobTerms): number {
  return rule % 4;
}

/** What stands in place of the weighted sum. */
export function robustRuleOf({ rule }: JobTerms): RobustRule | undefined {
  const percent = Math.floor(rule / 4);
  if (percent === 0) return undefined;
  return percent === MEDIAN ? { rule: 'median' } : { rule: 'trimmed-mean', percent };
}

/** As Records.sol has it. */
const MEDIAN = 50;

function trimOf(robust: RobustRule): number {
  return robust.rule === 'median' ? MEDIAN : robust.percent;
}
