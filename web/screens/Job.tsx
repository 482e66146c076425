import { useEffect } from 'preact/hooks';
import type { JobView, RoundView, RunnerView } from '#core/views.js';
import { Chart, type Point } from '../parts/Chart.js';
import { Age, Command, Facts, Hash, Note, Section } from '../parts/basics.js';
import { CurrentRound } from './CurrentRound.js';
import { JobActs, JobButtons } from './JobActs.js';
import { JobBadge } from './Jobs.js';
import { Receipt } from './Receipt.js';
import { RoundTable } from './RoundTable.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { checkRounds, roundChecks } from '../state/roundChecks.js';
import {
  isFinal,
  job as jobOf,
  jobs,
  rounds as roundsOf,
  runners as allRunners,
  versions,
} from '../state/stack.js';
import { loss, percent, points as change, seconds } from '../text/format.js';
import { strings } from '../text/strings.js';

export function Job({ id, round }: { id: string; round: number | null }) {
  useResource(jobs());
  const job = useResource(jobOf(id));
  const rounds = useResource(roundsOf(id));
  const runners = useResource(allRunners());
  const made = useResource(versions());
  const all = rounds.data.value?.items ?? [];
  const known = made.data.value?.items;
  useEffect(() => {
    if (known) void checkRounds(id, all, known);
  }, [id, all, known]);
  const view = job.data.value;
  if (!view && job.error.value !== null) return <h1>{strings.job.gone}</h1>;
  if (!view) return <Note>{strings.loading}</Note>;
  const names = namesOf(runners.data.value?.items ?? []);
  const current = isFinal(view.state)
    ? undefined
    : all.findLast(({ phase }) => phase !== 'done' && phase !== 'failed');
  const opened = round === null ? null : all.find((entry) => entry.round === round);
  return (
    <>
      <Head job={view} rounds={all} names={names} />
      {round !== null && <Receipt job={view} round={opened ?? null} names={names} />}
      {current && <CurrentRound job={view} round={current} runners={runners.data.value?.items ?? []} />}
      <Charts rounds={all} />
      <Section title="Rounds">
        <RoundTable job={view} rounds={all} names={names} opened={round} />
      </Section>
      <JobActs job={view} />
      <Announcer rounds={all} />
      <Command line={`npx roundtable job watch ${view.job.slice(0, 12)}`} />
    </>
  );
}

export type Names = (runner: string) => string;
export function namesOf(runners: readonly RunnerView[]): Names {
  const known = new Map<string, string>(runners.map(({ runner, name }) => [runner, name]));
  return (runner) => known.get(runner) ?? `${runner.slice(0, 8)}…`;
}

function Head({ job, rounds, names }: { job: JobView; rounds: readonly RoundView[]; names: Names }) {
  const done = rounds.filter(({ phase }) => phase === 'done');
  const totals = done
    .flatMap(({ seconds: { total } }) => (total === undefined ? [] : [total]))
    .sort((a, b) => a - b);
  const measured = done.flatMap(({ accuracy }) => (accuracy === null ? [] : [accuracy]));
  const last = measured.at(-1);
  const before = measured.at(-2);
  const gas = [...job.transactions, ...rounds.flatMap(({ transactions }) => transactions)].reduce(
    (sum, { gas }) => sum + gas,
    0,
  );
  return (
    <>
      <p class="crumbs">
        <a href={href('jobs')}>{strings.nav.jobs}</a>
      </p>
      <header class="title">
        <h1>{job.spec.name}</h1>
        <JobBadge state={job.state} />
        <Checked job={job.job} all={done.length} />
      </header>
      <JobButtons job={job} />
      {job.problem && (
        <p class="problem" role="alert">
          <strong>{job.problem.code}</strong> {job.problem.message}
        </p>
      )}
      <Facts
        facts={[
          [
            'Accuracy',
            <>
              {percent(job.accuracy)}{' '}
              {last !== undefined && before !== undefined && <small>{change(last - before)}</small>}
            </>,
          ],
          ['Loss', loss(job.loss)],
          ['Rounds', `${job.round} of ${job.spec.rounds}`],
          [
            'Round time',
            totals.length === 0 ? '–' : `${seconds(totals[Math.floor(totals.length / 2)] ?? null)} median`,
          ],
          ['Trigger', job.trigger],
          ['Created', <Age of={job.createdAt} />],
          ['Gas', gas.toLocaleString()],
          job.version && [
            'Version',
            <Hash value={job.version.versionId} link={href('versions', job.version.versionId)} />,
          ],
          ['Coordinator', <Hash value={job.coordinator} />],
        ]}
      />
      {rounds.length === 0 && <Note>{strings.job.waiting}</Note>}
      <MissingSummary job={job} rounds={rounds} names={names} />
    </>
  );
}

/** Who was missing, over the whole job, in a line each: the question that is asked most. */
function MissingSummary({
  job,
  rounds,
  names,
}: {
  job: JobView;
  rounds: readonly RoundView[];
  names: Names;
}) {
  const byRunner = new Map<string, number[]>();
  for (const { round, missing } of rounds)
    for (const { runner } of missing) byRunner.set(runner, [...(byRunner.get(runner) ?? []), round]);
  if (byRunner.size === 0) return null;
  return (
    <ul class="missing-summary">
      {[...byRunner].slice(0, 8).map(([runner, numbers]) => (
        <li key={runner}>
          <strong>{names(runner)}</strong> was missing in{' '}
          {numbers.slice(0, 12).map((round, i) => (
            <span key={round}>
              {i > 0 && ', '}
              <a href={href('jobs', job.job, 'rounds', round)}>round {round}</a>
            </span>
          ))}
          {numbers.length > 12 && ` and ${numbers.length - 12} more`}
        </li>
      ))}
    </ul>
  );
}

function Checked({ job, all }: { job: string; all: number }) {
  const { verdicts, stopped } = roundChecks(job).value;
  if (all === 0) return null;
  const wrong = [...verdicts].find(([, ok]) => !ok);
  if (wrong) return <p class="checked false">{strings.job.checkedFalse(wrong[0])}</p>;
  if (stopped !== null) return <p class="checked">{strings.job.checkedStopped(stopped)}</p>;
  return (
    <p class={`checked ${verdicts.size >= all ? 'true' : ''}`}>
      {strings.job.checked(Math.min(verdicts.size, all), all)}
    </p>
  );
}

function Charts({ rounds }: { rounds: readonly RoundView[] }) {
  const of = (pick: (round: RoundView) => number | null): Point[] =>
    rounds.flatMap((round) => {
      const y = pick(round);
      return y === null ? [] : [{ x: round.round, y, marked: round.missing.length > 0 }];
    });
  const accuracy = of((round) => round.accuracy);
  // One point is a number, which stands above already.
  if (accuracy.length < 2) return null;
  return (
    <div class="charts">
      <Chart title={strings.job.accuracy} points={accuracy} format={percent} />
      <Chart
        title={strings.job.loss}
        points={of((round) => round.loss)}
        format={(y) => loss(y).slice(0, 6)}
      />
    </div>
  );
}

/** One sentence a round for those who listen to the page. */
function Announcer({ rounds }: { rounds: readonly RoundView[] }) {
  const last = rounds.findLast(({ phase }) => phase === 'done');
  return (
    <p class="unseen" aria-live="polite">
      {last && strings.job.announce(last.round, percent(last.accuracy), last.missing.length)}
    </p>
  );
}
