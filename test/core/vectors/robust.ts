/** Medians and trimmed means over one chunk (PROTOCOL section 3). */
import { toHex } from '#core/hex.js';
import { leafBytes } from '#core/merkle.js';
import { keptOf } from '#core/robust.js';
import type { RobustRule } from '#core/robustRule.js';
import { robustMean, weighted } from '#core/robustMean.js';
import { seeded } from '../../support/seeded.js';
import { indices } from './inputs.js';

const LIMIT = 2 ** 31 - 1;

export function robust(): unknown {
  const percents = [1, 7, 10, 20, 25, 34, 49];
  const rules: RobustRule[] = [
    { rule: 'median' },
    ...percents.map((percent) => ({ rule: 'trimmed-mean' as const, percent })),
  ];
  const edges = [1, 2, 3, 15, 16].flatMap((count) => rules.map((rule) => ({ rule, count })));
  const ten = rules.filter((_, i) => i < 5).map((rule) => ({ rule, count: 10 }));
  return {
    note: 'trim: 1 to 49 the percentage of a trimmed mean, 50 the median; updates: 64 int32 each; sums: 64 int64, weight times the mean of what is kept',
    cases: [...edges, ...ten].map(({ rule, count }, i) => {
      const updates = indices(count).map((j) => chunk(i, j, count));
      const weight = i === 0 ? 2 ** 22 : count * (1 + 97 * i);
      return {
        trim: rule.rule === 'median' ? 50 : rule.percent,
        weight,
        kept: keptOf(rule, count),
        updates: updates.map((update) => toHex(leafBytes(update, 0))),
        sums: toHex(leafBytes(weighted(robustMean(rule, updates), weight), 0)),
      };
    }),
  };
}

/** Update `j` of case `i`: positions with equal values, ties, halves that round to even, edges of the range, anything. */
function chunk(i: number, j: number, count: number): Int32Array {
  const random = seeded(1_000 * i + j + 1);
  return Int32Array.from({ length: 64 }, (_, at) => {
    if (at === 0) return 5;
    if (at === 1) return -LIMIT;
    if (at === 2) return LIMIT;
    if (at < 6) return (j + at) % 2 === 0 ? LIMIT : -LIMIT;
    if (at < 12) return (j * at) % 3;
    if (at < 18) return j < count / 2 ? at : at + 1;
    if (at < 24) return j < count / 2 ? -at : -at - 1;
    if (at < 28) return at % 2 === 0 ? j : -j;
    if (at < 40) return Math.floor(random() * 7) - 3;
    return Math.max(-LIMIT, Math.floor((random() - 0.5) * 2 ** 32));
  });
}
