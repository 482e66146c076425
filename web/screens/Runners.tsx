import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { JobView, RunnerView } from '#core/views.js';
import { ActButton } from '../parts/ActButton.js';
import { Badge, Command, Copy, Hash, Note, Section, Waiting } from '../parts/basics.js';
import { Table, type Column } from '../parts/Table.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { config, sourcesOf } from '../state/config.js';
import { jobs, rounds as roundsOf, roundsAtOnce, runners } from '../state/stack.js';
import { verify, type Verification } from '../state/verification.js';
import { age, count, short, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import type { Stake } from '../verify/contracts.js';

/** core/messages.ts: after so many seconds of silence nobody is asked to train. */
const offlineAfterSeconds = 40;

export function Runners() {
  const { data, saidAt } = useResource(runners());
  const newest = useResource(jobs()).data.value?.items[0];
  if (!data.value) return <Waiting title={strings.nav.runners} of={runners()} />;
  const all = data.value.items;
  return (
    <Section title={strings.nav.runners} top>
      {all.length === 0 ? (
        <Note>{strings.runners.none}</Note>
      ) : (
        <WithFacts key={newest?.job} newest={newest}>
          {(facts) => <RunnerTable runners={all} saidAt={saidAt.value} facts={facts} />}
        </WithFacts>
      )}
      <Command line="npx roundtable runner list" />
      <Enrol />
    </Section>
  );
}

/** State with the age of its evidence, by the server's clock when it answered: neither a slow page nor a wrong clock puts anybody offline. */
export function runnerState(runner: RunnerView, saidAt: number): { kind: string; silentMs: number } {
  const silentMs = saidAt - Date.parse(runner.lastSeen);
  return {
    kind: !runner.connected || silentMs > offlineAfterSeconds * 1000 ? 'offline' : runner.state,
    silentMs,
  };
}

export function RunnerTable({
  runners,
  saidAt,
  facts,
}: {
  runners: readonly RunnerView[];
  /** The server's time when it listed them. */
  saidAt: number;
  /** What one looks at only on the screen of the runners; left out elsewhere. */
  facts?: RunnerFacts;
}) {
  return (
    <Table
      name="runners"
      caption={strings.nav.runners}
      rows={runners}
      keyOf={({ runner }) => runner}
      files={facts !== undefined}
      stacks
      columns={facts ? [...columnsOf(saidAt), ...factColumns(facts)] : columnsOf(saidAt)}
    />
  );
}

function columnsOf(saidAt: number): Column<RunnerView>[] {
  return [
    {
      title: 'Runner',
      show: ({ name, runner }) => (
        <>
          <strong>{name}</strong>
          <div class="under">
            <Hash value={runner} />
          </div>
        </>
      ),
      value: ({ name }) => name,
    },
    { title: 'Address', value: ({ runner }) => runner },
    {
      title: 'State',
      show: (runner) => <RunnerState runner={runner} saidAt={saidAt} />,
      value: (runner) => runnerState(runner, saidAt).kind,
    },
    {
      title: 'Doing',
      show: ({ progress }) =>
        progress ? (
          <a href={href('jobs', progress.job)}>
            <span class="oneline">round {progress.round},</span>{' '}
            <span class="oneline">
              step {progress.step} of {progress.steps}
            </span>
          </a>
        ) : (
          <span class="quiet">–</span>
        ),
    },
    {
      title: 'Data',
      show: ({ data }) =>
        data.map(({ name, samples }) => (
          <div key={name} class="oneline">
            {name} ({count(samples)})
          </div>
        )),
      value: ({ data }) => data.map(({ name }) => name).join(' '),
    },
    {
      title: 'Member',
      wide: true,
      show: ({ member }) => <Hash value={member} />,
      value: ({ member }) => member,
    },
  ];
}

function factColumns({ stakes, missed, job }: RunnerFacts): Column<RunnerView>[] {
  return [
    {
      title: strings.runners.stake,
      right: true,
      show: ({ runner }) => {
        const found = stakes.get(runner);
        return found ? tokens(found.stake) : <span class="quiet">–</span>;
      },
      value: ({ runner }) => stakes.get(runner)?.stake ?? null,
    },
    {
      title: job === null ? strings.runners.missedNone : strings.runners.missed(job),
      right: true,
      show: ({ runner }) => count(missed.get(runner) ?? 0),
      value: ({ runner }) => missed.get(runner) ?? 0,
    },
    {
      title: 'Act',
      show: ({ runner, name, drain, suspension }) => (
        <div class="stacked">
          <ActButton act={{ action: drain ? 'runner.undrain' : 'runner.drain', target: runner, name }} />
          <ActButton
            act={{ action: suspension ? 'runner.resume' : 'runner.suspend', target: runner, name }}
          />
        </div>
      ),
    },
    {
      title: 'Machine',
      wide: true,
      show: ({ machine, software }) => (
        <>
          {machine}
          <div class="under">{software}</div>
        </>
      ),
      value: ({ machine }) => machine,
    },
    { title: 'Software', value: ({ software }) => software },
  ];
}

interface RunnerFacts {
  /** By the visitor's own node. */
  stakes: ReadonlyMap<string, Stake>;
  /** Rounds of the newest job that each was missing in. */
  missed: ReadonlyMap<string, number>;
  /** The newest job's name; null when there is none. */
  job: string | null;
}

const stakesRead = signal<Verification | null>(null);

function WithFacts({
  newest,
  children,
}: {
  newest: JobView | undefined;
  children: (facts: RunnerFacts) => ComponentChildren;
}) {
  const settings = config.value;
  useEffect(() => {
    if (settings) verify(sourcesOf(settings), { kind: 'stakes' }, stakesRead);
  }, [settings]);
  const found = stakesRead.value?.found.stakes ?? [];
  const stakes = new Map(found.map((stake) => [stake.runner as string, stake]));
  if (!newest) return <>{children({ stakes, missed: new Map(), job: null })}</>;
  return (
    <WithMissed job={newest.job}>
      {(missed) => children({ stakes, missed, job: missedIn(newest) })}
    </WithMissed>
  );
}

/** Of a long job only the newest rounds are held. */
const missedIn = ({ spec, round }: JobView): string =>
  round > roundsAtOnce ? `${spec.name}, newest ${roundsAtOnce} rounds` : spec.name;

/** In how many rounds of a job each runner was missing. */
function WithMissed({
  job,
  children,
}: {
  job: string;
  children: (missed: ReadonlyMap<string, number>) => ComponentChildren;
}) {
  const missed = new Map<string, number>();
  for (const { missing } of useResource(roundsOf(job)).data.value?.items ?? [])
    for (const { runner } of missing) missed.set(runner, (missed.get(runner) ?? 0) + 1);
  return <>{children(missed)}</>;
}

/** What is pasted on the machine that has the data. */
function Enrol() {
  const settings = config.value;
  if (!settings) return null;
  const stack = new URL(settings.api, document.baseURI).href.replace(/\/$/, '');
  const node = settings.rpcUrls[0] ?? 'https://node.example.org';
  const lines = `roundtable-runner start ./runner --name my-runner --stack ${stack} --rpc-url ${node} --page`;
  return (
    <Section title={strings.runners.enrol}>
      <p class="explain">{strings.runners.enrolExplain}</p>
      <div class="paste">
        <pre tabIndex={0}>{lines}</pre>
        <Copy value={lines} what={strings.runners.enrol} />
      </div>
    </Section>
  );
}

function RunnerState({ runner, saidAt }: { runner: RunnerView; saidAt: number }) {
  const { kind, silentMs } = runnerState(runner, saidAt);
  const seen = age(silentMs);
  return (
    <>
      <Badge kind={kind}>{kind}</Badge>{' '}
      <small class="quiet">
        {kind === 'offline' ? strings.runners.offline(seen) : strings.runners.alive(seen)}
        {runner.drain && <>; {strings.runners.drained(runner.drain.reason, short(runner.drain.by))}</>}
        {runner.suspension && <>; {strings.runners.suspended(runner.suspension.reason)}</>}
      </small>
    </>
  );
}
