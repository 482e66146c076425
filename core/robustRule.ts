import { z } from 'zod';

/**
 * Coordinate-wise median and trimmed mean (Yin et al. 2018, https://arxiv.org/abs/1803.01498). Every update counts once,
 * whatever its weight: a runner that declares a million samples has one voice.
 */
export const robustRule = z.discriminatedUnion('rule', [
  z.strictObject({ rule: z.literal('median') }),
  z.strictObject({
    rule: z.literal('trimmed-mean'),
    percent: z
      .number()
      .int()
      .min(1)
      .max(
        49,
        'at most 49: of half the updates on each side nothing would be left (the median is a rule of its own)',
      )
      .describe('So many percent of the updates, rounded down, are left out at each end.'),
  }),
]);
export type RobustRule = z.output<typeof robustRule>;
