import type { Audit, Check } from '#audit/audit.js';
import { padEnd, wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/** One check as a line: what it is about, what was checked and how, and how long it took. */
export function checkLines(theme: Theme, { subject, check, how, ok, detail, ms }: Check): string[] {
  const { ok: good, fail, ring } = glyphs(theme);
  const mark =
    ok === true
      ? paint(theme, 'green', good)
      : ok === false
        ? paint(theme, 'red', fail)
        : paint(theme, 'yellow', ring);
  const head = `${mark} ${padEnd(subject, 14)} ${padEnd(check, 17)}`;
  const time = `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  if (ok === false)
    return [
      head.trimEnd(),
      ...wrap(detail, theme.columns - 4).map((line) => `    ${paint(theme, 'red', line)}`),
    ];
  if (ok === null)
    return [
      head.trimEnd(),
      ...wrap(`${how}: ${detail}`, theme.columns - 4).map((line) => `    ${paint(theme, 'dim', line)}`),
    ];
  const rest = theme.columns - 36;
  if (rest < 20) return [`${head.trimEnd()} ${paint(theme, 'dim', time)}`];
  const told = detail === '' ? how : `${how} (${detail})`;
  const [first = '', ...more] = wrap(told, rest - 10);
  return [
    `${head} ${padEnd(first, rest - 10)} ${paint(theme, 'dim', time)}`.trimEnd(),
    ...more.map((line) => `${' '.repeat(35)}${line}`),
  ];
}

/** The verdict below the checks. */
export function verdictLines(theme: Theme, { ok, checks, wrong, rounds }: Audit): string[] {
  const total = checks.reduce((sum, { ms }) => sum + ms, 0);
  const trusted = rounds.filter(({ recomputed }) => !recomputed);
  if (!ok)
    return [
      '',
      paint(theme, 'red', `Wrong: ${wrong?.subject ?? ''}, ${wrong?.check ?? ''}: ${wrong?.detail ?? ''}`),
      'Nothing behind it was looked at.',
    ];
  return [
    '',
    paint(
      theme,
      'green',
      `All ${checks.filter((check) => check.ok).length} checks hold (${(total / 1000).toFixed(1)} s).`,
    ),
    ...(rounds.length === 0 ? [] : [recomputedLine(rounds.length, trusted.length)]),
  ];
}

function recomputedLine(rounds: number, trusted: number): string {
  if (trusted === 0)
    return `The sums of all ${rounds} rounds were recomputed from their updates, to the bit.`;
  return `The sums of ${trusted} of ${rounds} rounds were not recomputed: they stand on the coordinator's word.`;
}
