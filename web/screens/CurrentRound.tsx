import type { JobView, ParticipantView, RoundView, RunnerView } from '#core/views.js';
import { Section } from '../parts/basics.js';
import { Seats } from '../parts/Seats.js';
import { now } from '../state/resource.js';
import { count, seconds } from '../text/format.js';
import { strings } from '../text/strings.js';
import { missingWords, phaseWords } from '../text/words.js';
import { seatsOf } from './RoundTable.js';

/** Bars that one can take in; of more runners the numbers tell. */
const most = 24;

/** The round under way: how far each runner is, what is still waited for, and until when. */
export function CurrentRound({
  job,
  round,
  runners,
}: {
  job: JobView;
  round: RoundView;
  runners: readonly RunnerView[];
}) {
  const byAddress = new Map(runners.map((runner) => [runner.runner, runner]));
  const { quorum, deadlineSeconds, graceFactor } = job.spec.participants;
  const here = round.participants.filter(({ state }) => state === 'done').length;
  const asked = new Set(round.participants.map(({ runner }) => runner));
  const absent = round.missing.filter(({ runner }) => !asked.has(runner));
  const left = deadlineSeconds - (now.value - Date.parse(round.startedAt)) / 1000;
  return (
    <Section
      title={strings.job.now(round.round, phaseWords[round.phase])}
      aside={<Seats seats={seatsOf(round)} size={38} />}
    >
      <p class="explain">
        {strings.job.quorum(here, round.participants.length, String(quorum))}
        {round.phase === 'collecting' &&
          quorum !== 'all' &&
          here >= quorum &&
          `; ${strings.job.grace(count(graceFactor))}`}
        {round.phase === 'collecting' &&
          left > 0 &&
          `, ${strings.job.deadline(seconds(Math.ceil(left)).replace(/[.,]0(?= s)/, ''))}`}
      </p>
      <ul class="progress">
        {round.participants.slice(0, most).map((participant) => (
          <li key={participant.runner}>
            <Runner participant={participant} runner={byAddress.get(participant.runner)} round={round} />
          </li>
        ))}
        {round.participants.length > most && (
          <li class="what">{strings.job.moreAsked(count(round.participants.length - most))}</li>
        )}
        {absent.slice(0, most).map(({ runner, code, reason }) => (
          <li key={runner} class="absent">
            <span class="who">{byAddress.get(runner)?.name ?? runner.slice(0, 10)}</span>
            <span class="what">
              {missingWords[code]}: {reason}
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Runner({
  participant,
  runner,
  round,
}: {
  participant: ParticipantView;
  runner: RunnerView | undefined;
  round: RoundView;
}) {
  const name = runner?.name ?? participant.runner.slice(0, 10);
  const working = runner?.progress;
  const inThis = working && working.job === round.job && working.round === round.round ? working : null;
  const missing = round.missing.find((entry) => entry.runner === participant.runner);
  const done = participant.state === 'done';
  const step = done ? 1 : inThis ? inThis.step : 0;
  const steps = done ? 1 : Math.max(1, inThis?.steps ?? 1);
  return (
    <>
      <span class="who">{name}</span>
      <progress value={step} max={steps} aria-label={name} class={participant.state} />
      <span class="what">
        {missing
          ? `${missingWords[missing.code]}: ${missing.reason}`
          : done
            ? `done in ${seconds(participant.seconds)}`
            : inThis
              ? `step ${inThis.step} of ${inThis.steps}`
              : 'asked'}
      </span>
    </>
  );
}
