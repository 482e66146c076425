import type { RunnerView } from '#core/views.js';
import { Badge, Command, Hash, Note, Section, Waiting } from '../parts/basics.js';
import { Table, type Column } from '../parts/Table.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { runners } from '../state/stack.js';
import { age, count } from '../text/format.js';
import { strings } from '../text/strings.js';

/** core/messages.ts: after so many seconds of silence nobody is asked to train. */
const offlineAfterSeconds = 40;

export function Runners() {
  const { data, saidAt } = useResource(runners());
  if (!data.value) return <Waiting title={strings.nav.runners} of={runners()} />;
  const all = data.value.items;
  return (
    <Section title={strings.nav.runners} top>
      {all.length === 0 ? (
        <Note>{strings.runners.none}</Note>
      ) : (
        <RunnerTable runners={all} saidAt={saidAt.value} />
      )}
      <Command line="npx roundtable runner list" />
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
  brief = false,
}: {
  runners: readonly RunnerView[];
  /** The server's time when it listed them. */
  saidAt: number;
  /** Without what one looks at only here. */
  brief?: boolean;
}) {
  const onlyHere = brief ? ['Machine', 'Software', 'Address'] : [];
  return (
    <Table
      name="runners"
      caption={strings.nav.runners}
      rows={runners}
      keyOf={({ runner }) => runner}
      files={!brief}
      columns={columnsOf(saidAt).filter(({ title }) => !onlyHere.includes(title))}
    />
  );
}

function columnsOf(saidAt: number): Column<RunnerView>[] {
  return [
    { title: 'Runner', show: ({ name }) => <strong>{name}</strong>, value: ({ name }) => name },
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
            round {progress.round}, step {progress.step} of {progress.steps}
          </a>
        ) : (
          <span class="quiet">–</span>
        ),
    },
    {
      title: 'Data',
      show: ({ data }) => data.map(({ name, samples }) => `${name} (${count(samples)})`).join(', '),
      value: ({ data }) => data.map(({ name }) => name).join(' '),
    },
    { title: 'Machine', wide: true, show: ({ machine }) => machine, value: ({ machine }) => machine },
    {
      title: 'Software',
      wide: true,
      show: ({ software }) => software,
      value: ({ software }) => software,
    },
    {
      title: 'Member',
      wide: true,
      show: ({ member }) => <Hash value={member} />,
      value: ({ member }) => member,
    },
    {
      title: 'Address',
      wide: true,
      show: ({ runner }) => <Hash value={runner} />,
      value: ({ runner }) => runner,
    },
  ];
}

function RunnerState({ runner, saidAt }: { runner: RunnerView; saidAt: number }) {
  const { kind, silentMs } = runnerState(runner, saidAt);
  const seen = age(silentMs);
  return (
    <>
      <Badge kind={kind}>{kind}</Badge>{' '}
      <small class="quiet">
        {kind === 'offline' ? strings.runners.offline(seen) : strings.runners.alive(seen)}
      </small>
    </>
  );
}
