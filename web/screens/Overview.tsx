import { Command, Note, Section, Waiting } from '../parts/basics.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { isFinal, jobs, rounds as roundsOf, runners, versions } from '../state/stack.js';
import { count, percent, short } from '../text/format.js';
import { strings } from '../text/strings.js';
import { CurrentRound } from './CurrentRound.js';
import { JobBadge, JobTable } from './Jobs.js';
import { useNames } from './Job.js';
import { RoundTable } from './RoundTable.js';
import { RunnerTable } from './Runners.js';
import type { JobView } from '#core/views.js';

/** More runners than this are looked at on their own screen. */
const most = 12;

/** The job of the moment, who is at the table, and the newest model: three questions on one screen. */
export function Overview() {
  const all = useResource(jobs()).data.value?.items;
  const enrolled = useResource(runners());
  const made = useResource(versions()).data.value?.items ?? [];
  if (!all) return <Waiting title={strings.nav.overview} of={jobs()} />;
  const seated = enrolled.data.value?.items ?? [];
  const latest = all.find(({ state }) => !isFinal(state)) ?? all[0];
  const newest = made.reduce<(typeof made)[number] | undefined>(
    (a, b) => (!a || b.updatedAt > a.updatedAt ? b : a),
    undefined,
  );
  return (
    <>
      {latest ? (
        <LatestJob job={latest} />
      ) : (
        <>
          <h1>{strings.nav.overview}</h1>
          <Note>{strings.job.none}</Note>
        </>
      )}
      {newest && (
        <Section title="Newest model">
          <p class="lead">
            <a class="strong" href={href('versions', newest.model.versionId)}>
              {newest.lineage}, version {newest.number} <code>{short(newest.model.versionId)}</code>
            </a>{' '}
            {percent(newest.accuracy)} accuracy. Open it to check it against the chain.
          </p>
        </Section>
      )}
      <Section title={strings.nav.runners}>
        <RunnerTable runners={seated.slice(0, most)} saidAt={enrolled.saidAt.value} />
        {seated.length > most && (
          <p>
            <a href={href('runners')}>{strings.allOf(count(seated.length), 'runners')}</a>
          </p>
        )}
      </Section>
      {all.length > 1 && (
        <Section title={strings.nav.jobs}>
          <JobTable jobs={all.slice(0, 8)} files={false} />
        </Section>
      )}
      <Command line="npx roundtable status" />
    </>
  );
}

function LatestJob({ job }: { job: JobView }) {
  const rounds = useResource(roundsOf(job.job)).data.value?.items ?? [];
  const enrolled = useResource(runners()).data.value?.items ?? [];
  const names = useNames(enrolled);
  const current = isFinal(job.state)
    ? undefined
    : rounds.findLast(({ phase }) => phase !== 'done' && phase !== 'failed');
  return (
    <>
      <header class="title">
        <h1>
          <a href={href('jobs', job.job)}>{job.spec.name}</a>
        </h1>
        <JobBadge state={job.state} />
        <p class="lead">
          {job.round} of {job.spec.rounds} rounds, {percent(job.accuracy)} accuracy
        </p>
      </header>
      {current && <CurrentRound job={job} round={current} runners={enrolled} />}
      {rounds.length > 0 && (
        <Section title="Newest rounds">
          <RoundTable job={job} rounds={rounds.slice(-8)} names={names} opened={null} />
        </Section>
      )}
    </>
  );
}
