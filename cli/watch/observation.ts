import type { Observation } from '#audit/watcher.js';
import { count } from '../terminal/format.js';
import { wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/** One thing that was judged, in a line that wraps. */
export function observationLines(theme: Theme, observation: Observation): string[] {
  const { subject, job, number, accountable, outcome, what, unknown, calls, transactions, gas, seconds } =
    observation;
  const of =
    subject === 'round' ? `round ${number} of job ${job ?? ''}` : `epoch ${number} of ${accountable}`;
  const word = unknown.length === 0 ? '' : ` Not recomputed: ${unknown.join('; ')}.`;
  const did = {
    holds: '',
    undecided: '',
    wrong: calls.length > 0 ? ` ${calls.join(', ')} would be sent.` : ' No contract can be shown it.',
    asked: ` Asked its coordinator: ${calls.join(', ')}.`,
    convicted: ` Convicted by ${calls.join(', ')}; coordinator ${accountable} loses its bond.`,
  }[outcome];
  const cost =
    transactions.length === 0
      ? ''
      : ` ${count(gas)} gas, ${Math.round(seconds)} s after it was ${subject === 'round' ? 'closed' : 'published'}, transaction ${transactions.at(-1)?.hash ?? ''}.`;
  const [first = '', ...more] = wrap(
    `${markOf(theme, observation)} ${of}: ${what}.${word}${did}${cost}`,
    theme.columns,
  );
  return [paint(theme, styleOf(observation), first), ...more];
}

function markOf(theme: Theme, { outcome, unknown }: Observation): string {
  const { ok, fail, warn, wait, ring } = glyphs(theme);
  if (outcome === 'holds') return unknown.length === 0 ? ok : ring;
  return { wrong: fail, asked: wait, convicted: fail, undecided: warn }[outcome];
}

function styleOf({ outcome, unknown }: Observation): 'green' | 'yellow' | 'red' {
  if (outcome === 'holds' && unknown.length === 0) return 'green';
  return outcome === 'wrong' || outcome === 'convicted' ? 'red' : 'yellow';
}
