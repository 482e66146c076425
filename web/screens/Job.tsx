import { useEffect, useMemo } from 'preact/hooks';
import type { JobView, RoundView, RunnerView } from '#core/views.js';
import { Chart, type Point } from '../parts/Chart.js';
import { Pager } from '../parts/Table.js';
import { Age, Command, Facts, Hash, Note, Section, Waiting } from '../parts/basics.js';
import { CurrentRound } from './CurrentRound.js';
import { JobActs, JobButtons } from './JobActs.js';
import { JobBadge } from './Jobs.js';
import { Receipt } from './Receipt.js';
import { RoundTable, seatsOf } from './RoundTable.js';
import { href, hrefWith, route } from '../state/route.js';
import { useMaybe, useResource } from '../state/resource.js';
import { checkRounds, roundChecks } from '../state/roundChecks.js';
import {
  everyRound,
  isFinal,
  job as jobOf,
  jobs,
  rounds as roundsOf,
  roundsAtOnce,
  roundsBefore,
  runners as allRunners,
  sampledRounds,
  versions,
} from '../state/stack.js';
import { count, loss, percent, points as change, seconds } from '../text/format.js';
import { strings } from '../text/strings.js';

export function Job({ id, round }: { id: string; round: number | null }) {
  useResource(jobs());
  const job = useResource(jobOf(id));
  const rounds = useResource(roundsOf(id));
  const runners = useResource(allRunners());
  const made = useResource(versions());
  const names = useNames(runners.data.value?.items ?? []);
  const all = rounds.data.value?.items ?? none;
  const known = made.data.value?.items;
  const view = job.data.value;
  const total = Math.max(view?.round ?? 0, all.at(-1)?.round ?? 0);
  const before = Number(route.value.query.get('before')) || null;
  const older = useMaybe(before === null ? null : roundsBefore(id, before));
  const shown = (before === null ? all : older?.data.value?.items) ?? none;
  const isHeld = round === null || all.some((entry) => entry.round === round);
  const sought = useMaybe(isHeld || !rounds.data.value ? null : roundsBefore(id, round + 1, 1));
  const samples = useMaybe(sampledRounds(id, total));
  useEffect(() => {
    if (known) void checkRounds(id, shown, known);
  }, [id, shown, known]);
  if (!view && job.error.value !== null && !job.silent.value) return <h1>{strings.job.gone}</h1>;
  if (!view) return <Waiting title={strings.nav.jobs} of={job} />;
  const current = isFinal(view.state)
    ? undefined
    : all.findLast(({ phase }) => phase !== 'done' && phase !== 'failed');
  const opened = [...all, ...shown, ...(sought?.data.value?.items ?? [])].find(
    (entry) => entry.round === round,
  );
  return (
    <>
      <Head job={view} rounds={all} names={names} />
      {round !== null && <Receipt job={view} round={opened ?? null} names={names} />}
      {current && <CurrentRound job={view} round={current} runners={runners.data.value?.items ?? []} />}
      <Charts rounds={withSamples(samples?.data.value?.items ?? [], all)} />
      <Section title="Rounds">
        <RoundTable
          job={view}
          rounds={shown}
          names={names}
          opened={round}
          {...(total > all.length
            ? { pager: <RoundPages shown={shown} total={total} />, everything: () => everyRound(id) }
            : {})}
        />
      </Section>
      <JobActs job={view} />
      <Announcer rounds={all} />
      <Command line={`npx roundtable job watch ${view.job.slice(0, 12)}`} />
    </>
  );
}

const none: readonly RoundView[] = [];

/** Rounds have numbers without gaps, so a page of them is named by the round behind it and stays what it is. */
function RoundPages({ shown, total }: { shown: readonly RoundView[]; total: number }) {
  const first = shown[0]?.round ?? 1;
  const last = shown.at(-1)?.round ?? 0;
  const newer = last + roundsAtOnce >= total ? null : last + roundsAtOnce + 1;
  return (
    <Pager
      caption="Rounds"
      text={strings.job.roundsShown(count(first), count(last), count(total))}
      before={last < total ? hrefWith('before', newer) : null}
      after={first > 1 ? hrefWith('before', first) : null}
    />
  );
}

/** The newest rounds, each, behind samples of those in front of them. */
function withSamples(samples: readonly RoundView[], newest: readonly RoundView[]): readonly RoundView[] {
  const first = newest[0]?.round ?? 0;
  return [...samples.filter(({ round }) => round < first), ...newest];
}

export type Names = (runner: string) => string;
export function namesOf(runners: readonly RunnerView[]): Names {
  const known = new Map<string, string>(runners.map(({ runner, name }) => [runner, name]));
  return (runner) => known.get(runner) ?? `${runner.slice(0, 8)}…`;
}

/** The same function as long as the names are the same: signs of life come every second. */
export function useNames(runners: readonly RunnerView[]): Names {
  const all = runners.map(({ runner, name }) => `${runner} ${name}`).join('\n');
  return useMemo(() => namesOf(runners), [all]);
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
  const newest = rounds.at(-1) ?? null;
  const ofNewest = job.round > rounds.length && <small>{strings.job.ofNewest(count(rounds.length))}</small>;
  return (
    <>
      <p class="crumbs">
        <a href={href('jobs')}>{strings.nav.jobs}</a>
      </p>
      <header class="title">
        <h1>{job.spec.name}</h1>
        <JobBadge state={job.state} />
        <Checked job={job.job} all={Math.max(done.length, job.round)} />
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
          newest && ['Runners', strings.job.runnersOf(...seatedIn(newest))],
          [
            'Round time',
            totals.length === 0 ? (
              '–'
            ) : (
              <>
                {seconds(totals[Math.floor(totals.length / 2)] ?? null)} median {ofNewest}
              </>
            ),
          ],
          ['Trigger', job.trigger],
          ['Created', <Age of={job.createdAt} />],
          [
            'Gas',
            <>
              {count(gas)} {ofNewest}
            </>,
          ],
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

/** How many were there, of how many. */
function seatedIn(round: RoundView): [there: string, all: string] {
  const seats = seatsOf(round);
  return [count(seats.filter((seat) => seat !== 'missing').length), count(seats.length)];
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
      <Chart title={strings.job.loss} points={of((round) => round.loss)} format={(y) => loss(y)} />
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
