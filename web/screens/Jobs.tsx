import type { JobView } from '#core/views.js';
import { Age, Badge, Command, Note, Section, Waiting } from '../parts/basics.js';
import { Table, type Column } from '../parts/Table.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { jobs } from '../state/stack.js';
import { percent, short } from '../text/format.js';
import { strings } from '../text/strings.js';
import { stateWords } from '../text/words.js';

export function Jobs() {
  const { data } = useResource(jobs());
  if (!data.value) return <Waiting title={strings.nav.jobs} of={jobs()} />;
  return (
    <Section title={strings.nav.jobs} top>
      <JobTable jobs={data.value.items} />
      <Command line="npx roundtable job list" />
    </Section>
  );
}

export function JobTable({ jobs, files = true }: { jobs: readonly JobView[]; files?: boolean }) {
  if (jobs.length === 0) return <Note>{strings.job.none}</Note>;
  return (
    <Table
      name="jobs"
      caption={strings.nav.jobs}
      columns={columns}
      rows={jobs}
      keyOf={({ job }) => job}
      files={files}
    />
  );
}

export function JobBadge({ state }: { state: JobView['state'] }) {
  return <Badge kind={state}>{stateWords[state]}</Badge>;
}

const columns: readonly Column<JobView>[] = [
  {
    title: 'Job',
    show: ({ job, spec }) => (
      <a class="strong" href={href('jobs', job)}>
        {spec.name} <code>{short(job, 8)}</code>
      </a>
    ),
    value: ({ job }) => job,
  },
  { title: 'State', show: ({ state }) => <JobBadge state={state} />, value: ({ state }) => state },
  {
    title: 'Rounds',
    right: true,
    show: ({ round, spec }) => `${round} / ${spec.rounds}`,
    value: ({ round }) => round,
  },
  {
    title: 'Accuracy',
    right: true,
    show: ({ accuracy }) => percent(accuracy),
    value: ({ accuracy }) => accuracy,
  },
  { title: 'Trigger', wide: true, show: ({ trigger }) => trigger, value: ({ trigger }) => trigger },
  {
    title: 'Created',
    wide: true,
    show: ({ createdAt }) => <Age of={createdAt} />,
    value: ({ createdAt }) => createdAt,
  },
];
