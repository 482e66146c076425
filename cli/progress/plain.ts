import { oneLine } from '#core/printable.js';
import { finalJobStates, type RoundView, type RunnerView } from '#core/views.js';
import { count, loss, percent, seconds, tokens } from '../terminal/format.js';
import type { StackEvent } from './events.js';
import { participantFacts, phaseText } from './rounds.js';
import { roundKey, runnerName, type ProgressState } from './state.js';

/**
 * One line for each thing that happened, in full: for logs, pipes and continuous integration. Views of a round
 * come again and again; what was said of it before is remembered in `said`.
 */
export function plainLines(event: StackEvent, state: ProgressState, said: Set<string>): string[] {
  switch (event.type) {
    case 'part-starting':
      return [`starting ${event.part}: ${event.what}`];
    case 'part-ready':
      return [
        `${event.part} is ready after ${seconds(event.seconds)}${event.detail === null ? '' : `: ${event.detail}`}`,
      ];
    case 'part-failed':
      return [`${event.part} failed: ${event.reason}${event.log === null ? '' : ` (log: ${event.log})`}`];
    case 'temporal-build': {
      const expected = event.expectedSeconds === null ? '' : ` of about ${seconds(event.expectedSeconds)}`;
      // A line every ten seconds is enough for a log.
      const key = `temporal/${event.step}/${Math.floor(event.elapsedSeconds / 10)}`;
      return fresh(said, key, `temporal: ${event.step}, ${seconds(event.elapsedSeconds)}${expected}`);
    }
    case 'note':
      return [event.text];
    case 'webhook-sent':
      return [`webhook to trigger ${event.trigger}, delivery ${event.delivery}: answered ${event.status}`];
    case 'job': {
      const { job } = event;
      const known = state.job?.job === job.job;
      const introduction = `job ${job.spec.name} ${job.job}: ${count(job.spec.rounds)} rounds, quorum ${job.spec.participants.quorum}, started by ${job.trigger}`;
      return [
        ...(known ? [] : [introduction]),
        ...((known && state.job?.state === job.state) || finalJobStates.includes(job.state)
          ? []
          : [`job ${job.spec.name} is ${job.state}`]),
      ];
    }
    case 'round':
      return roundLines(event.round, event.runners, said);
    case 'job-finished': {
      const { job } = event;
      const accuracy = job.accuracy === null ? '' : `, accuracy ${percent(job.accuracy)}`;
      const problem = job.problem ? `: ${job.problem.code}: ${job.problem.message}` : '';
      return [
        `job ${job.spec.name} ended ${job.state} after ${count(job.round)} rounds${accuracy}${problem}`,
      ];
    }
    case 'claimed': {
      const transaction = event.transaction === null ? '' : `, transaction ${event.transaction}`;
      const gas = event.gas === null ? '' : `, gas ${count(event.gas)}`;
      return [
        `${runnerName(state.runners, event.runner)} claimed ${tokens(event.amount)}${transaction}${gas}`,
      ];
    }
  }
}

function roundLines(round: RoundView, views: readonly RunnerView[], said: Set<string>): string[] {
  const runners = new Map(views.map((runner) => [runner.runner, runner]));
  const key = roundKey(round);
  const about = `round ${round.round}`;
  const say = (what: string, text: string) => fresh(said, `${key}/${what}`, `${about}: ${text}`);
  return [
    ...(round.phase === 'done' || round.phase === 'failed' ? [] : say(round.phase, phaseText[round.phase])),
    ...round.participants
      .filter(({ state }) => state === 'done')
      .flatMap((participant) =>
        say(
          participant.runner,
          `${runnerName(runners, participant.runner)} done, ${participantFacts(participant).join(', ')}`,
        ),
      ),
    ...round.missing.flatMap(({ runner, code, reason }) =>
      say(runner, `${runnerName(runners, runner)} is missing (${code}): ${oneLine(reason)}`),
    ),
    ...(round.accuracy === null
      ? []
      : say('accuracy', `accuracy ${percent(round.accuracy)}, loss ${loss(round.loss)}`)),
    ...(round.version ? say('version', `version ${round.version.versionId}`) : []),
    ...(round.archive
      ? say('archive', `archived model ${round.archive.model}, manifest ${round.archive.manifest}`)
      : []),
    ...round.transactions.flatMap(({ purpose, hash, gas, block }) =>
      say(hash, `${purpose} transaction ${hash} in block ${block}, gas ${count(gas)}`),
    ),
    ...(round.problem ? say('problem', `${round.problem.code}: ${round.problem.message}`) : []),
    ...(round.phase === 'done' ? say('done', `done in ${seconds(round.seconds.total ?? null)}`) : []),
    ...(round.phase === 'failed' ? say('failed', 'failed') : []),
  ];
}

function fresh(said: Set<string>, key: string, line: string): string[] {
  if (said.has(key)) return [];
  said.add(key);
  return [line];
}
