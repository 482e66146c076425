import type { JobView, VersionView } from '#core/views.js';
import { count, percent, seconds, tokens } from '../terminal/format.js';
import { flow, short, table, wrap } from '../terminal/text.js';
import { paint, type Theme } from '../terminal/theme.js';
import { entriesOfViews, lineageLines } from './lineage.js';
import { accuracyPlot } from './plot.js';
import type { Report } from './report.js';

/** So many versions are shown; `model lineage` shows all. */
const mostVersions = 12;

/** The report as a person reads it at the end of a job. */
export function renderReport(
  theme: Theme,
  facts: {
    job: JobView;
    report: Report;
    versions: readonly VersionView[];
    problems: readonly string[];
    next: readonly NextCommand[];
  },
): string[] {
  const { job, report, versions, problems } = facts;
  return [
    '',
    ...summary(theme, job, report),
    '',
    ...section(theme, 'Accuracy on held-out data', accuracyLines(theme, job, report)),
    ...section(theme, `Lineage of ${job.spec.name}`, newestVersions(theme, versions)),
    ...section(theme, 'Rewards over all jobs', rewardLines(theme, report)),
    ...(problems.length === 0
      ? []
      : section(
          theme,
          'What went wrong',
          problems.flatMap((text) =>
            wrap(text, theme.columns - 2).map((line) => `  ${paint(theme, 'red', line)}`),
          ),
        )),
    ...section(
      theme,
      'Try next',
      facts.next.flatMap((command) => nextLines(theme, command)),
    ),
  ];
}

export interface NextCommand {
  command: string;
  what: string;
}

/** Three things worth doing with what the job left. */
export function nextCommands(report: Report, run: string): NextCommand[] {
  const version = report.model?.version.slice(0, 12) ?? 'latest';
  return [
    {
      command: `${run} model verify ${version}`,
      what: 'recompute and check the model from chain and archive',
    },
    {
      command: `${run} model pull ${version} --float --out model.onnx`,
      what: 'fetch it as an ordinary ONNX file',
    },
    { command: `${run} rewards show`, what: 'who was paid for which rounds' },
  ];
}

function summary(theme: Theme, job: JobView, report: Report): string[] {
  const gas = report.rounds.reduce((sum, round) => sum + round.gas, 0);
  const time = report.rounds.reduce((sum, { seconds: { total } }) => sum + (total ?? 0), 0);
  return flow(
    theme,
    [
      paint(theme, 'bold', `${job.spec.name}: ${job.state}`),
      `${count(report.rounds.length)} rounds in ${seconds(time)}`,
      ...(job.accuracy === null ? [] : [`accuracy ${paint(theme, 'cyan', percent(job.accuracy))}`]),
      ...(gas === 0 ? [] : [`gas ${count(gas)}`]),
      ...(report.model ? [`version ${short(theme, report.model.version)}`] : []),
    ],
    0,
  );
}

function accuracyLines(theme: Theme, job: JobView, report: Report): string[] {
  const points = report.rounds.flatMap(({ round, accuracy }) =>
    accuracy === null ? [] : [{ x: round, y: accuracy }],
  );
  if (points.length > 0) return accuracyPlot(theme, points);
  return job.spec.evaluation ? [] : ['  The job names no held-out data, so accuracy was not measured.'];
}

function newestVersions(theme: Theme, versions: readonly VersionView[]): string[] {
  const newest = entriesOfViews(versions).slice(0, mostVersions);
  const older = versions.length - newest.length;
  const rest = older === 0 ? [] : [paint(theme, 'dim', `  and ${older} older: roundtable model lineage`)];
  return [...lineageLines(theme, newest), ...rest];
}

function rewardLines(theme: Theme, report: Report): string[] {
  if (report.rewards.length === 0) return ['  none'];
  const names = new Map(
    report.rounds.flatMap(({ participants }) => participants.map(({ runner, name }) => [runner, name])),
  );
  return table(
    theme,
    [
      { title: 'runner' },
      { title: 'account', drop: 2 },
      { title: 'earned', align: 'right' },
      { title: 'claimed', align: 'right' },
      { title: 'transaction', drop: 1 },
    ],
    report.rewards.map(({ runner, account, earned, claimed, transaction }) => [
      names.get(runner) ?? short(theme, runner),
      short(theme, account, 8, 4),
      tokens(earned),
      claimed === earned ? paint(theme, 'green', tokens(claimed)) : paint(theme, 'yellow', tokens(claimed)),
      transaction === null ? '' : short(theme, transaction),
    ]),
    2,
  );
}

function nextLines(theme: Theme, { command, what }: NextCommand): string[] {
  const explained = `  ${command}   ${what}`;
  if (explained.length <= theme.columns)
    return [`  ${paint(theme, 'bold', command)}   ${paint(theme, 'dim', what)}`];
  return [`  ${paint(theme, 'bold', command)}`, `      ${paint(theme, 'dim', what)}`];
}

function section(theme: Theme, title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [paint(theme, 'bold', title), ...lines, ''];
}
