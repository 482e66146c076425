import { quantile } from '../stack.js';
import { roundSeconds, type Event, type Recovery, type Spent } from './events.js';
import type { Usage } from './measured.js';
import { standardWork } from './work.js';

/** What one run of a contender gave. Seconds, bytes. */
export interface PeerResult {
  readonly contender: string;
  /** ISO time of its start. */
  readonly at: string;
  readonly machine: string;
  readonly clients: number;
  readonly rounds: number;
  /** From nothing to a system that takes work. */
  readonly startSeconds: number | null;
  /** From the order to the last result: of Roundtable archived, anchored and verified. */
  readonly workSeconds: number | null;
  /** Both: from the first process to the last result. */
  readonly totalSeconds: number | null;
  /** From one round's end to the next one's; the first includes whatever is done once. */
  readonly roundSeconds: number[];
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly processes: number;
  /** On the held-out images, before the first round and after each. */
  readonly accuracy: (number | null)[];
  readonly verified: { checks: number; seconds: number } | null;
  readonly spent: Spent | null;
  readonly recoveries: Recovery[];
}

export function resultOf(
  contender: string,
  work: { clients: number; rounds: number },
  machine: string,
  usage: Usage,
  events: readonly Event[],
): PeerResult {
  const first = (name: Event['event']) => events.find(({ event }) => event === name)?.at ?? null;
  const [ready, working, done] = [first('ready'), first('working'), first('done')];
  const between = (from: number | null, to: number | null) =>
    from === null || to === null ? null : rounded(to - from);
  const ends = events.flatMap((event) => (event.event === 'round' ? [event] : []));
  ends.sort((a, b) => a.round - b.round);
  return {
    contender,
    at: new Date(1000 * usage.started).toISOString(),
    machine,
    clients: work.clients,
    rounds: work.rounds,
    startSeconds: between(usage.started, ready),
    workSeconds: between(working, done),
    totalSeconds: between(usage.started, done),
    roundSeconds: [...roundSeconds(ends)].sort(([a], [b]) => a - b).map(([, seconds]) => rounded(seconds)),
    cpuSeconds: rounded(usage.cpuSeconds),
    peakBytes: usage.peakBytes,
    processes: usage.processes,
    accuracy: ends.map(({ accuracy }) => accuracy),
    verified:
      events.flatMap((event) =>
        event.event === 'verified' ? [{ checks: event.checks, seconds: rounded(event.seconds) }] : [],
      )[0] ?? null,
    spent:
      events.flatMap((event) =>
        event.event === 'spent' ? [{ processor: event.processor, round: event.round }] : [],
      )[0] ?? null,
    recoveries: events.flatMap((event) => {
      if (event.event !== 'recovery') return [];
      const { killed, seconds, undisturbed, lost } = event;
      return [{ killed, seconds, undisturbed, lost }];
    }),
  };
}

/** The contenders in the order of the table: how people call them, and which of ours does the same. */
const columns: Record<string, { name: string; against: string | null }> = {
  roundtable: { name: 'Roundtable', against: null },
  'flower-simulation': { name: 'Flower, simulation', against: 'roundtable' },
  'roundtable-deployment': { name: 'Roundtable, a process for each runner', against: null },
  'flower-deployment': { name: 'Flower, deployment', against: 'roundtable-deployment' },
  pytorch: { name: 'PyTorch alone', against: 'roundtable' },
};

/** The comparison as Markdown, from the newest result of each contender on the standard work. */
export function peersTable(results: readonly PeerResult[]): string {
  const newest = new Map(results.map((result) => [result.contender, result]));
  const shown = Object.entries(columns).flatMap(([contender, column]) => {
    const result = newest.get(contender);
    const against = column.against === null ? undefined : newest.get(column.against);
    return result ? [{ ...column, result, against }] : [];
  });
  if (shown.length === 0) return faults(newest);
  const row = (title: string, cell: (result: PeerResult, against?: PeerResult) => string) => [
    title,
    ...shown.map(({ result, against }) => cell(result, against)),
  ];
  const times = (of: (result: PeerResult) => number | null) => (result: PeerResult, against?: PeerResult) => {
    const [theirs, own] = [of(result), against ? of(against) : null];
    return theirs === null || !own ? '' : `${(theirs / own).toFixed(1)} x`;
  };
  const aRound = ({ roundSeconds }: PeerResult) => quantile(roundSeconds.slice(1), 0.5);
  const rows = [
    row('start, s', ({ startSeconds }) => figure(startSeconds)),
    row('work, s', ({ workSeconds }) => figure(workSeconds)),
    row('start and work, s', ({ totalSeconds }) => figure(totalSeconds)),
    row('a round, s', (result) => figure(aRound(result))),
    row('processor, s', ({ cpuSeconds }) => figure(cpuSeconds)),
    row('peak memory, MB', ({ peakBytes }) => (peakBytes / 1e6).toFixed(0)),
    row('processes', ({ processes }) => String(processes)),
    row('accuracy after each round', ({ accuracy }) => accuracy.slice(1).map(percent).join(' ')),
    row(
      'start and work against ours',
      times(({ totalSeconds }) => totalSeconds),
    ),
    row(
      'work against ours',
      times(({ workSeconds }) => workSeconds),
    ),
    row('a round against ours', times(aRound)),
    row(
      'memory against ours',
      times(({ peakBytes }) => peakBytes),
    ),
  ];
  const { clients, rounds, epochs, batch, rate } = standardWork;
  const title = `2NN, Fashion-MNIST, ${clients} clients, E=${epochs} B=${batch} lr ${rate}, ${rounds} rounds`;
  const table = markdown([title, ...shown.map(({ name }) => name)], rows);
  return [table, faults(newest)].filter(Boolean).join('\n\n');
}

function faults(newest: ReadonlyMap<string, PeerResult>): string {
  const rows = [
    ['Roundtable', newest.get('roundtable-faults')],
    ['Flower, deployment', newest.get('flower-faults')],
  ].flatMap(([name, result]) =>
    typeof result === 'object'
      ? result.recoveries.map(({ killed, seconds, undisturbed, lost }) => [
          `${String(name)}: ${killed} killed`,
          figure(seconds),
          figure(undisturbed),
          lost,
        ])
      : [],
  );
  if (rows.length === 0) return '';
  return markdown(['kill -9 in a round', 'round complete after, s', 'a round undisturbed, s', 'lost'], rows);
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const figure = (seconds: number | null) =>
  seconds === null || Number.isNaN(seconds) ? 'never' : seconds.toFixed(1);
const percent = (share: number | null) => (share === null ? '-' : (100 * share).toFixed(1));
const rounded = (value: number) => Math.round(100 * value) / 100;
