/** What people call the rules; apart, because the page says them at once and needs nothing else of them. */
import type { RobustRule } from './robustRule.js';

/** @example nameOf({ rule: 'trimmed-mean', percent: 20 }) // '20% trimmed mean' */
export function nameOf(rule: RobustRule): string {
  return rule.rule === 'median' ? 'median' : `${rule.percent}% trimmed mean`;
}

/** @example aggregationName({ rule: 'fedavg', robust: { rule: 'median' } }) // 'FedAvg of the median' */
export function aggregationName({ rule, robust }: { rule: string; robust?: RobustRule | undefined }): string {
  const step = rule === 'fedavg' ? 'FedAvg' : 'FedAvgM';
  return robust ? `${step} of the ${nameOf(robust)}` : step;
}
