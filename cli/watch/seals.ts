import type { SealView } from '#audit/sealDemands.js';
import { wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/** What became of a runner's seal, in a line that wraps. */
export function sealLines(
  theme: Theme,
  { job, round, runner, outcome, what, transaction }: SealView,
): string[] {
  const { fail, wait } = glyphs(theme);
  const isAsked = outcome === 'demanded';
  const end = isAsked ? '' : ' It loses its stake.';
  const [first = '', ...more] = wrap(
    `${isAsked ? wait : fail} round ${round} of job ${job}, runner ${runner}: ${what}.${end} Transaction ${transaction}.`,
    theme.columns,
  );
  return [paint(theme, isAsked ? 'yellow' : 'red', first), ...more];
}
