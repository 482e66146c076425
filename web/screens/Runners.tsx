import type { RunnerView } from '#core/views.js';
import { Badge, Command, Hash, Note, Section } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import { href } from '../state/route.js';
import { now, useResource } from '../state/resource.js';
import { runners } from '../state/stack.js';
import { age, count } from '../text/format.js';
import { strings } from '../text/strings.js';

/** core/messages.ts: after so many seconds of silence nobody is asked to train. */
const offlineAfterSeconds = 7;

export function Runners() {
  const { data, readAt } = useResource(runners());
  if (!data.value) return <Note>{strings.loading}</Note>;
  const all = data.value.items;
  return (
    <Section title={strings.nav.runners}>
      {all.length === 0 ? (
        <Note>{strings.runners.none}</Note>
      ) : (
        <RunnerTable runners={all} readAt={readAt.value} />
      )}
      <Command line="npx roundtable runner list" />
    </Section>
  );
}

/** State with the age of its evidence, counted from when the API was read: a slow page does not put anybody offline. */
export function runnerState(runner: RunnerView, readAt: number): { kind: string; silentMs: number } {
  const silentMs = readAt - Date.parse(runner.lastSeen);
  return { kind: silentMs > offlineAfterSeconds * 1000 ? 'offline' : runner.state, silentMs };
}

export function RunnerTable({
  runners,
  readAt,
  files = true,
}: {
  runners: readonly RunnerView[];
  readAt: number;
  files?: boolean;
}) {
  return (
    <Table
      name="runners"
      caption={strings.nav.runners}
      rows={runners}
      keyOf={({ runner }) => runner}
      files={files}
      columns={[
        { title: 'Runner', show: ({ name }) => <strong>{name}</strong>, value: ({ name }) => name },
        {
          title: 'State',
          show: (runner) => <RunnerState runner={runner} readAt={readAt} />,
          value: (runner) => runnerState(runner, readAt).kind,
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
      ]}
    />
  );
}

function RunnerState({ runner, readAt }: { runner: RunnerView; readAt: number }) {
  const { kind, silentMs } = runnerState(runner, readAt);
  const seen = age(silentMs + Math.max(0, now.value - readAt));
  return (
    <>
      <Badge kind={kind}>{kind}</Badge>{' '}
      <small class="quiet">
        {kind === 'offline' ? strings.runners.offline(seen) : strings.runners.alive(seen)}
      </small>
    </>
  );
}
