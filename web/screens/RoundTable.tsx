import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { JobView, RoundView } from '#core/views.js';
import { Table, type Column } from '../parts/Table.js';
import { Seats, type Seat } from '../parts/Seats.js';
import { TimeBar, TimeLegend } from '../parts/TimeBar.js';
import { Note } from '../parts/basics.js';
import { href } from '../state/route.js';
import { roundChecks } from '../state/roundChecks.js';
import { count, loss, percent, seconds } from '../text/format.js';
import { strings } from '../text/strings.js';
import { missingWords, phaseWords } from '../text/words.js';
import type { Names } from './Job.js';

/** Newest first: what just happened is what is looked for. */
export function RoundTable(props: {
  job: JobView;
  rounds: readonly RoundView[];
  names: Names;
  opened: number | null;
  /** Where not all of the job's rounds are here: the way to the others. */
  pager?: ComponentChildren;
  everything?: () => Promise<readonly RoundView[]>;
}) {
  const { job, rounds, names, opened, pager, everything } = props;
  const scale = rounds.reduce((most, { seconds: { total } }) => Math.max(most, total ?? 0), 1);
  const columns = useMemo(() => columnsOf(job.job, names, scale), [job.job, names, scale]);
  if (rounds.length === 0) return <Note>{strings.job.waiting}</Note>;
  return (
    <>
      <TimeLegend />
      <Table
        name={`rounds-${job.job.slice(0, 10)}`}
        caption={`Rounds of ${job.spec.name}`}
        columns={columns}
        rows={rounds.toReversed()}
        {...(pager === undefined ? {} : { pager })}
        {...(everything === undefined ? {} : { everything })}
        keyOf={({ round }) => String(round)}
        rowClass={({ round, updatedAt, phase }) =>
          [
            round === opened ? 'opened' : '',
            phase === 'done' && Date.now() - Date.parse(updatedAt) < 2_500 ? 'fresh' : '',
          ].join(' ')
        }
      />
    </>
  );
}

export function seatsOf({ participants, missing }: RoundView): Seat[] {
  const absent = new Set(missing.map(({ runner }) => runner));
  const asked = participants
    .filter(({ runner }) => !absent.has(runner))
    .map(({ runner, state }) => ({
      runner,
      seat: state === 'done' ? ('there' as const) : ('asked' as const),
    }));
  return [...asked, ...missing.map(({ runner }) => ({ runner, seat: 'missing' as const }))]
    .sort((a, b) => a.runner.localeCompare(b.runner))
    .map(({ seat }) => seat);
}

const gasOf = ({ transactions }: RoundView): number => transactions.reduce((sum, { gas }) => sum + gas, 0);

function columnsOf(job: string, names: Names, scale: number): readonly Column<RoundView>[] {
  return [
    {
      title: 'Round',
      show: ({ round }) => (
        <a class="strong" href={href('jobs', job, 'rounds', round)}>
          {round}
        </a>
      ),
      value: ({ round }) => round,
    },
    { title: 'Seats', show: (round) => <Seats seats={seatsOf(round)} /> },
    {
      title: 'Missing',
      show: ({ missing, phase }) =>
        missing.length > 0 ? (
          <ul class="missing">
            {missing.map(({ runner, code, reason }) => (
              <li key={runner} title={reason}>
                <strong>{names(runner)}</strong> {missingWords[code]}
              </li>
            ))}
          </ul>
        ) : (
          <span class="quiet">{phase === 'done' ? strings.job.everybody : phaseWords[phase]}</span>
        ),
      value: ({ missing }) => missing.map(({ runner, reason }) => `${names(runner)}: ${reason}`).join('; '),
    },
    {
      title: 'Accuracy',
      right: true,
      show: ({ accuracy }) => percent(accuracy),
      value: ({ accuracy }) => accuracy,
    },
    {
      title: 'Loss',
      right: true,
      wide: true,
      show: (round) => loss(round.loss),
      value: (round) => round.loss,
    },
    {
      title: 'Time',
      right: true,
      wide: true,
      show: (round) => seconds(round.seconds.total ?? null),
      value: (round) => round.seconds.total ?? null,
    },
    {
      title: 'Where it went',
      wide: true,
      show: (round) => <TimeBar seconds={round.seconds} scale={scale} />,
    },
    { title: 'Gas', right: true, wide: true, show: (round) => count(gasOf(round)), value: gasOf },
    { title: 'Checked', show: ({ round }) => <CheckedMark job={job} round={round} /> },
  ];
}

function CheckedMark({ job, round }: { job: string; round: number }) {
  const verdict = roundChecks(job).value.verdicts.get(round);
  if (verdict === undefined) return <span class="quiet">–</span>;
  return verdict ? (
    <span class="true" role="img" aria-label="true">
      ✓
    </span>
  ) : (
    <span class="false">✗ false</span>
  );
}
