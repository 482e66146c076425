import { finalJobStates, type JobView } from '#core/views.js';
import { count, seconds, tokens } from '../terminal/format.js';
import { flow, padEnd, short, wrap } from '../terminal/text.js';
import { glyphs, paint, type Theme } from '../terminal/theme.js';
import type { StackEvent } from './events.js';
import { currentRound, finishedRound } from './rounds.js';
import { roundEnded, roundKey, runnerName, type ProgressState } from './state.js';

/** The lines that an event leaves on the screen for good. `state` is the one from before the event. */
export function lastingLines(theme: Theme, event: StackEvent, state: ProgressState): string[] {
  const { ok, fail, wait } = glyphs(theme);
  switch (event.type) {
    case 'part-ready': {
      const head = `  ${paint(theme, 'green', ok)} ${padEnd(event.part, 17)} ${padEnd(paint(theme, 'dim', seconds(event.seconds)), 7)}`;
      if (event.detail === null || theme.columns < 40 + event.detail.length / 2) return [head.trimEnd()];
      return [`${head} ${paint(theme, 'dim', event.detail)}`];
    }
    case 'part-failed':
      return [
        `  ${paint(theme, 'red', fail)} ${event.part}`,
        ...wrap(event.reason, theme.columns - 4).map((line) => `    ${line}`),
        ...(event.log === null ? [] : [`    ${paint(theme, 'dim', `log: ${event.log}`)}`]),
      ];
    case 'note':
      return wrap(event.text, theme.columns - 4).map(
        (line, i) => `  ${i === 0 ? paint(theme, 'dim', wait) : ' '} ${line}`,
      );
    case 'webhook-sent':
      return [
        '',
        ...flow(
          theme,
          [
            `webhook to trigger ${paint(theme, 'bold', event.trigger)}`,
            `delivery ${event.delivery}`,
            event.status < 300
              ? paint(theme, 'green', `answered ${event.status}`)
              : paint(theme, 'red', `answered ${event.status}`),
          ],
          0,
        ),
      ];
    case 'job':
      return state.job?.job === event.job.job
        ? []
        : [
            '',
            ...flow(
              theme,
              [
                paint(theme, 'bold', `job ${event.job.spec.name}`),
                `id ${short(theme, event.job.job)}`,
                `${count(event.job.spec.rounds)} rounds`,
                `quorum ${event.job.spec.participants.quorum}`,
                `started by ${event.job.trigger}`,
              ],
              0,
            ),
            '',
          ];
    case 'round': {
      if (!roundEnded(event.round) || state.ended.has(roundKey(event.round))) return [];
      const runners = new Map(event.runners.map((runner) => [runner.runner, runner]));
      return [...finishedRound(theme, event.job, event.round, runners), ''];
    }
    case 'job-finished': {
      const good = event.job.state === 'done';
      return [
        paint(
          theme,
          good ? 'green' : 'red',
          `${good ? ok : fail} job ${event.job.spec.name} is ${event.job.state}`,
        ),
        ...(event.job.problem
          ? wrap(`${event.job.problem.code}: ${event.job.problem.message}`, theme.columns - 2).map(
              (line) => `  ${line}`,
            )
          : []),
      ];
    }
    case 'claimed':
      return flow(
        theme,
        [
          `${paint(theme, 'green', ok)} ${runnerName(state.runners, event.runner)} claimed ${tokens(event.amount)}`,
          ...(event.transaction === null
            ? []
            : [paint(theme, 'dim', `transaction ${short(theme, event.transaction)}`)]),
          ...(event.gas === null ? [] : [paint(theme, 'dim', `gas ${count(event.gas)}`)]),
        ],
        2,
      );
    case 'part-starting':
    case 'temporal-build':
      return [];
  }
}

/** The region at the bottom that is drawn again and again: parts that are starting, the round in progress. */
export function liveRegion(theme: Theme, state: ProgressState, now: number): string[] {
  const spinner = frames(theme)[Math.floor(now / 120) % frames(theme).length] ?? '';
  if (state.temporal) {
    const { step, elapsedSeconds, expectedSeconds } = state.temporal;
    const expected = expectedSeconds === null ? '' : ` of about ${seconds(expectedSeconds)}`;
    return flow(
      theme,
      [`${paint(theme, 'cyan', spinner)} ${step}`, paint(theme, 'dim', seconds(elapsedSeconds) + expected)],
      2,
    );
  }
  const starting = [...state.starting.keys()];
  return [
    ...wrap(starting.length === 0 ? '' : `starting ${starting.join(', ')}`, theme.columns - 4)
      .filter((line) => line !== '')
      .map((line, i) => `  ${i === 0 ? paint(theme, 'cyan', spinner) : ' '} ${line}`),
    ...(state.round && state.job ? currentRound(theme, state.job, state.round, state.runners, now) : []),
    ...(state.round || !state.job || finalJobStates.includes(state.job.state)
      ? []
      : [`${paint(theme, 'cyan', spinner)} ${paint(theme, 'dim', waitText(state.job))}`]),
  ];
}

function waitText({ state, round }: JobView): string {
  if (state !== 'running') return state;
  return round === 0 ? 'preparing the model' : 'between rounds';
}

function frames(theme: Theme): readonly string[] {
  return theme.unicode ? ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] : ['|', '/', '-', '\\'];
}
