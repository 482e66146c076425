import { oneLine } from '#core/printable.js';
import type { JobView, ParticipantView, RoundPhase, RoundView, RunnerView } from '#core/views.js';
import { bytes, count, loss, percent, seconds } from '../terminal/format.js';
import { bar, cut, flow, padEnd, padStart, short, wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';
import { runnerName } from './state.js';

type Runners = ReadonlyMap<string, RunnerView>;

/** A round that is over, as it stays on the screen. */
export function finishedRound(theme: Theme, job: JobView, round: RoundView, runners: Runners): string[] {
  const failed = round.phase === 'failed';
  const names = nameWidth(theme, round, runners);
  return [
    ...flow(
      theme,
      [
        paint(theme, 'bold', roundTitle(job, round)),
        ...(round.accuracy === null ? [] : [`accuracy ${paint(theme, 'cyan', percent(round.accuracy))}`]),
        ...(round.loss === null ? [] : [`loss ${loss(round.loss)}`]),
        ...(round.seconds.total === undefined ? [] : [paint(theme, 'dim', seconds(round.seconds.total))]),
        ...(failed ? [paint(theme, 'red', 'failed')] : []),
      ],
      0,
    ),
    ...(round.problem ? wrapped(theme, `${round.problem.code}: ${round.problem.message}`, 2) : []),
    ...round.participants
      .filter(({ state }) => state === 'done')
      .flatMap((participant) => trainedLine(theme, participant, runners, names)),
    ...missingLines(theme, round, runners, names),
    ...records(theme, round),
  ];
}

/** The round in progress: a bar for each runner, redrawn in place. */
export function currentRound(
  theme: Theme,
  job: JobView,
  round: RoundView,
  runners: Runners,
  now: number,
): string[] {
  const names = nameWidth(theme, round, runners);
  return [
    ...flow(
      theme,
      [
        paint(theme, 'bold', roundTitle(job, round)),
        phaseText[round.phase],
        paint(theme, 'dim', seconds(Math.max(0, now - Date.parse(round.startedAt)) / 1000)),
      ],
      0,
    ),
    ...round.participants
      .filter(({ state }) => state !== 'missing')
      .flatMap((participant) =>
        participant.state === 'done'
          ? trainedLine(theme, participant, runners, names)
          : trainingLine(theme, round, participant, runners, names),
      ),
    ...missingLines(theme, round, runners, names),
  ];
}

export function roundTitle(job: JobView, round: RoundView): string {
  return `round ${round.round} of ${job.spec.rounds}`;
}

export const phaseText: Record<RoundPhase, string> = {
  selecting: 'choosing runners',
  collecting: 'training',
  aggregating: 'adding up',
  evaluating: 'evaluating',
  archiving: 'archiving',
  anchoring: 'anchoring on chain',
  done: 'done',
  failed: 'failed',
};

/** What a participant brought, each figure with its word; absent figures are left out. */
export function participantFacts({
  samples,
  loss: value,
  seconds: time,
  bytes: size,
}: ParticipantView): string[] {
  return [
    ...(samples === null ? [] : [`${count(samples)} samples`]),
    ...(value === null ? [] : [`loss ${loss(value)}`]),
    ...(time === null ? [] : [seconds(time)]),
    ...(size === null ? [] : [bytes(size)]),
  ];
}

function trainedLine(theme: Theme, participant: ParticipantView, runners: Runners, names: number): string[] {
  const mark = paint(theme, 'green', glyphs(theme).ok);
  const name = padEnd(cut(theme, runnerName(runners, participant.runner), names), names);
  if (theme.columns >= 70) {
    const cells = [
      padStart(participant.samples === null ? '' : `${count(participant.samples)} samples`, 14),
      padStart(participant.loss === null ? '' : `loss ${loss(participant.loss)}`, 12),
      padStart(seconds(participant.seconds), 9),
      padStart(bytes(participant.bytes), 9),
    ];
    return [`  ${mark} ${name}  ${cells.join('  ')}`.trimEnd()];
  }
  const facts = participantFacts(participant);
  return flow(theme, [`${mark} ${name}`, ...facts], 2, 4);
}

function trainingLine(
  theme: Theme,
  round: RoundView,
  participant: ParticipantView,
  runners: Runners,
  names: number,
): string {
  const name = padEnd(cut(theme, runnerName(runners, participant.runner), names), names);
  const progress = runners.get(participant.runner)?.progress;
  const mine = progress && progress.job === round.job && progress.round === round.round ? progress : null;
  const head = `  ${paint(theme, 'dim', glyphs(theme).wait)} ${name}  `;
  if (!mine) return head + paint(theme, 'dim', 'asked');
  const share = mine.steps === 0 ? 0 : mine.step / mine.steps;
  const tail = ` ${padStart(`${Math.floor(100 * share)}%`, 4)}`;
  const extra = mine.loss === null || theme.columns < 60 ? '' : `   loss ${loss(mine.loss)}`;
  const columns = Math.min(40, theme.columns - (4 + names + 2) - tail.length - 14);
  return head + bar(theme, share, Math.max(6, columns)) + tail + paint(theme, 'dim', extra);
}

function missingLines(theme: Theme, round: RoundView, runners: Runners, names: number): string[] {
  return round.missing.flatMap(({ runner, code, reason }) => {
    const name = padEnd(cut(theme, runnerName(runners, runner), names), names);
    const [first = '', ...more] = wrap(
      `missing, ${code}: ${oneLine(reason)}`,
      Math.max(20, theme.columns - 6 - names),
    );
    const head = `  ${paint(theme, 'yellow', glyphs(theme).ring)} ${name}  `;
    return [head + first, ...more.map((line) => ' '.repeat(6 + names) + line)];
  });
}

function records(theme: Theme, round: RoundView): string[] {
  const items = [
    ...(round.version ? [`version ${short(theme, round.version.versionId)}`] : []),
    ...(round.archive
      ? [`archive ${theme.columns >= 60 ? round.archive.model : short(theme, round.archive.model)}`]
      : []),
    ...round.transactions.map(
      ({ purpose, hash, gas }) => `${purpose} ${short(theme, hash)} (gas ${count(gas)})`,
    ),
  ];
  return flow(theme, items, 4, 0).map((line) => paint(theme, 'dim', line));
}

function nameWidth(theme: Theme, round: RoundView, runners: Runners): number {
  const all = [...round.participants, ...round.missing].map(
    ({ runner }) => runnerName(runners, runner).length,
  );
  return Math.min(Math.max(0, ...all), theme.columns < 60 ? 9 : 24);
}

function wrapped(theme: Theme, text: string, indent: number): string[] {
  return wrap(text, theme.columns - indent).map((line) => ' '.repeat(indent) + paint(theme, 'red', line));
}
