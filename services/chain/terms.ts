import type { JobSpec } from '#core/jobSpec.js';
import type { Fraction } from '#core/step.js';

/** The part of a job's spec that the judges need, as its creation declares it on chain. */
export interface JobTerms {
  /** Parameters of the model. */
  dimension: number;
  /** 1 FedAvg, 2 FedAvgM; 0 for a step that no contract recomputes. */
  rule: number;
  rate: Fraction;
  /** 0/1 for FedAvg. */
  momentum: Fraction;
}

/** The terms that a spec means; whoever reads a job compares them with those on chain. */
export function termsOf({ aggregation }: JobSpec, dimension: number): JobTerms {
  const { rate } = aggregation;
  switch (aggregation.rule) {
    case 'fedavg':
      return { dimension, rule: 1, rate, momentum: { numerator: 0, denominator: 1 } };
    case 'fedavgm':
      return { dimension, rule: 2, rate, momentum: aggregation.momentum };
  }
}
