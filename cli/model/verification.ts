import type { Audit, Check } from '#audit/audit.js';
import { roundRanges } from '../rewards/standing.js';
import { cut, table, wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';

/** What was checked, by which means, how often and how long it took; then the verdict. */
export function auditLines(theme: Theme, audit: Audit): string[] {
  const kinds = new Map<string, Check[]>();
  for (const check of audit.checks) {
    const key = `${check.check}\n${check.how}`;
    kinds.set(key, [...(kinds.get(key) ?? []), check]);
  }
  // Names, times and durations take less than 42 columns; the means get the rest.
  const room = Math.max(0, theme.columns - 42);
  return [
    ...table(
      theme,
      [
        { title: '' },
        { title: 'checked' },
        { title: 'how', drop: 1 },
        { title: 'times', align: 'right', drop: 2 },
        { title: 'ms', align: 'right' },
      ],
      [...kinds.values()].map((checks) => [
        mark(theme, checks),
        checks[0]?.check ?? '',
        paint(theme, 'dim', cut(theme, checks[0]?.how ?? '', room)),
        String(checks.length),
        milliseconds(checks),
      ]),
    ),
    '',
    ...verdictLines(theme, audit),
  ];
}

function verdictLines(theme: Theme, { ok, checks, wrong, rounds }: Audit): string[] {
  const prose = (text: string) => wrap(text, theme.columns);
  if (!ok && wrong)
    return [
      ...prose(`Wrong: ${wrong.subject}, ${wrong.check}: ${wrong.detail}.`).map((line) =>
        paint(theme, 'red', line),
      ),
      'Nothing behind it was looked at.',
    ];
  const unchecked = checks.filter((check) => check.ok === null);
  const reasons = [...new Set(unchecked.map(({ check, detail }) => `${check}: ${detail}`))];
  return [
    paint(theme, 'green', `All ${checks.length - unchecked.length} checks hold.`),
    ...(rounds.length === 0 ? [] : prose(sumsLine(rounds))),
    ...reasons.flatMap((reason) =>
      prose(`Not checked, ${reason}.`).map((line) => paint(theme, 'yellow', line)),
    ),
  ];
}

function sumsLine(rounds: Audit['rounds']): string {
  const trusted = rounds.filter(({ recomputed }) => !recomputed);
  if (trusted.length === 0)
    return `The sums of all ${rounds.length} rounds were recomputed from their updates, to the bit.`;
  const jobs = [...new Set(trusted.map(({ job }) => job))].map((job) => {
    const numbers = trusted.filter((entry) => entry.job === job).map(({ round }) => round);
    return `${roundRanges(numbers)} of job ${job.slice(0, 10)}`;
  });
  return `The sums of ${trusted.length} of ${rounds.length} rounds (${jobs.join('; ')}) were not recomputed: they stand on the coordinator's word.`;
}

function mark(theme: Theme, checks: readonly Check[]): string {
  const { ok, fail, ring } = glyphs(theme);
  if (checks.some((check) => check.ok === false)) return paint(theme, 'red', fail);
  return checks.every((check) => check.ok) ? paint(theme, 'green', ok) : paint(theme, 'yellow', ring);
}

function milliseconds(checks: readonly Check[]): string {
  const total = checks.reduce((sum, { ms }) => sum + ms, 0);
  return total < 10 ? total.toFixed(1) : total.toFixed(0);
}
