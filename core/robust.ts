/** Rules in place of the weighted sum, under which a few runners cannot move a round at will (PROTOCOL section 3). */
import { RUNNERS_PER_NODE } from './commitment.js';
import { nameOf } from './robustNames.js';
import type { RobustRule } from './robustRule.js';

/** Most updates that a robust rule is computed over: all of them are needed at once. */
export const MOST_ROBUST = 1_024;

/**
 * Whether a wrong result can be shown to a contract (contracts/RobustJudge.sol).
 * @param most runners that a round may have
 */
export function disputability(rule: RobustRule, most: number): string {
  return most <= RUNNERS_PER_NODE
    ? `A wrong ${nameOf(rule)} can be disputed on chain: no round has more than ${RUNNERS_PER_NODE} runners.`
    : `A ${nameOf(rule)} of more than ${RUNNERS_PER_NODE} runners is attested only, not disputable on chain, and this job asks up to ${most} (participants.most).`;
}

/** Which of `count` values in ascending order are averaged: the first, and one past the last. */
export function keptOf(rule: RobustRule, count: number): [from: number, to: number] {
  if (rule.rule === 'median') {
    const middle = Math.floor((count - 1) / 2);
    return [middle, middle + 1];
  }
  const trimmed = Math.floor((rule.percent * count) / 100);
  return [trimmed, count - trimmed];
}

/** Why a rule protects nobody in rounds of `fewest` runners or cannot be computed for `most`; null when it is fine. */
export function nonsense(rule: RobustRule, fewest: number | null, most: number): string | null {
  if (most > MOST_ROBUST)
    return `it is computed over at most ${MOST_ROBUST} updates, and participants.most is ${most}`;
  if (fewest === null) return null;
  if (rule.rule === 'median')
    return fewest < 3
      ? `the median of ${fewest} protects nobody; participants.quorum has to be at least 3`
      : null;
  if (keptOf(rule, fewest)[0] > 0) return null;
  const needed = Math.ceil(100 / fewest);
  const way = needed <= 49 ? `a percent of at least ${needed}, or ` : '';
  return `${rule.percent} percent of ${fewest} runners (participants.quorum) is nobody: write ${way}a quorum of at least ${Math.ceil(100 / rule.percent)}`;
}
