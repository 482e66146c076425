import type { Audit, Check } from '#audit/index.js';
import { roundRanges } from '../rewards/standing.js';
import { cut, table, wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';
import type { RecordReport } from './record.js';

/** What was checked, by which means, how often and how long it took; from where it came; then the verdict. */
export function auditLines(theme: Theme, audit: Audit, asked: RecordReport): string[] {
  const kinds = new Map<string, Check[]>();
  for (const check of audit.checks) {
    const key = `${check.check}\n${check.how}`;
    kinds.set(key, [...(kinds.get(key) ?? []), check]);
  }
  const names = [...kinds.values()].map(([first]) => first?.check.length ?? 0);
  // Mark, times and milliseconds with their gaps take 22 columns, names what they need; the means get the rest.
  const room = Math.max(12, theme.columns - 22 - Math.max(7, ...names));
  const total = audit.checks.reduce((sum, { ms }) => sum + ms, 0);
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
      [
        ...[...kinds.values()].map((checks) => [
          mark(theme, checks),
          checks[0]?.check ?? '',
          paint(theme, 'dim', cut(theme, checks[0]?.how ?? '', room)),
          String(checks.length),
          milliseconds(checks.reduce((sum, { ms }) => sum + ms, 0)),
        ]),
        ['', 'together', '', String(audit.checks.length), milliseconds(total)],
      ],
    ),
    '',
    ...askedLines(theme, asked),
    ...verdictLines(theme, audit),
  ];
}

/** From where chain and archive were read. */
function askedLines(theme: Theme, { chain, gateways }: RecordReport): string[] {
  const from = gateways.map(({ gateway, served, absent, wrong, unreachable }) =>
    [
      `${hostOf(gateway)} served ${served} ${served === 1 ? 'file' : 'files'}`,
      ...(absent === 0 ? [] : [`did not have one ${times(absent)}`]),
      ...(unreachable === 0 ? [] : [`did not answer ${times(unreachable)}`]),
      ...(wrong.length === 0 ? [] : [`gave something else for ${wrong.join(', ')}`]),
    ].join(', '),
  );
  const archive = from.length === 0 ? [] : [`Archive: ${from.join('; ')}.`];
  return [`Chain: as ${chain.join(', ')} has it.`, ...archive]
    .flatMap((text) => wrap(text, theme.columns))
    .map((line) => paint(theme, 'dim', line));
}

function verdictLines(theme: Theme, { ok, checks, wrong, rounds }: Audit): string[] {
  const prose = (text: string) => wrap(text, theme.columns);
  if (!ok && wrong) {
    const { job } = wrong.place;
    const where = job === undefined || wrong.subject.includes(job.slice(0, 12)) ? '' : ` of job ${job}`;
    return [
      ...prose(`Wrong: ${wrong.subject}${where}, ${wrong.check}: ${wrong.detail}.`).map((line) =>
        paint(theme, 'red', line),
      ),
      'Nothing behind it was looked at.',
    ];
  }
  const unchecked = checks.filter((check) => check.ok === null);
  // Sums and steps have a line of their own.
  const others = unchecked.filter(({ check }) => check !== 'sum' && check !== 'step');
  const reasons = [...new Set(others.map(({ check, detail }) => `${check}: ${detail}`))];
  const recomputed = rounds.every((round) => round.recomputed);
  const sums = rounds.length === 0 ? [] : prose(sumsLine(rounds, unchecked));
  return [
    paint(theme, 'green', `All ${checks.length - unchecked.length} checks hold.`),
    ...(recomputed ? sums : sums.map((line) => paint(theme, 'yellow', line))),
    ...reasons.flatMap((reason) =>
      prose(`Not checked, ${reason}.`).map((line) => paint(theme, 'yellow', line)),
    ),
  ];
}

function sumsLine(rounds: Audit['rounds'], unchecked: readonly Check[]): string {
  const trusted = rounds.filter(({ recomputed }) => !recomputed);
  if (trusted.length === 0) {
    const all = rounds.length === 1 ? 'the only round' : `all ${rounds.length} rounds`;
    return `The sums of ${all} were recomputed from their updates, to the bit.`;
  }
  const jobs = [...new Set(trusted.map(({ job, coordinator }) => `${job} ${coordinator}`))].map((key) => {
    const own = trusted.filter(({ job, coordinator }) => `${job} ${coordinator}` === key);
    const numbers = roundRanges(own.map(({ round }) => round));
    return `${own.length === 1 ? 'round' : 'rounds'} ${numbers} of job ${own[0]?.job.slice(0, 10) ?? ''} on the word of coordinator ${own[0]?.coordinator ?? ''}`;
  });
  const [why = '', ...more] = new Set(
    unchecked.flatMap(({ check, detail }) =>
      check === 'sum' || check === 'step' ? (detail.split(';')[0] ?? '') : [],
    ),
  );
  const reason = more.length === 0 ? why : `${why}, and ${more.length} more`;
  return `The sums of ${trusted.length} of ${rounds.length} rounds were not recomputed (${reason}). They stand: ${jobs.join('; ')}.`;
}

function mark(theme: Theme, checks: readonly Check[]): string {
  const { ok, fail, ring } = glyphs(theme);
  if (checks.some((check) => check.ok === false)) return paint(theme, 'red', fail);
  return checks.every((check) => check.ok) ? paint(theme, 'green', ok) : paint(theme, 'yellow', ring);
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url);
const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);
const milliseconds = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0));
