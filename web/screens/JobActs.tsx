import type { JobView } from '#core/views.js';
import { ActButton } from '../parts/ActButton.js';
import { ActTable } from '../parts/ActTable.js';
import { Section } from '../parts/basics.js';
import { actsOf, lastAct } from '../state/actLog.js';
import { useResource } from '../state/resource.js';
import { acts, isFinal } from '../state/stack.js';
import { strings } from '../text/strings.js';

/** Pause, resume and cancel: what can be done now, and what was asked for and has not happened yet. */
export function JobButtons({ job }: { job: JobView }) {
  const records = useResource(acts()).data.value?.items ?? [];
  if (isFinal(job.state)) return null;
  const asked = lastAct(records, job.job)?.statement.action;
  const name = job.spec.name;
  if (asked === 'job.cancel') return <p class="quiet">{strings.acts.cancelling}</p>;
  const stops = job.state === 'paused' || asked === 'job.pause';
  return (
    <div class="buttons">
      {asked === 'job.pause' && job.state !== 'paused' && <p class="quiet">{strings.acts.pausing}</p>}
      {asked === 'job.resume' && job.state === 'paused' && <p class="quiet">{strings.acts.resuming}</p>}
      <ActButton act={{ action: stops ? 'job.resume' : 'job.pause', target: job.job, name }} />
      <ActButton act={{ action: 'job.cancel', target: job.job, name }} />
    </div>
  );
}

/** What people did to the job; nothing where nobody did anything. */
export function JobActs({ job }: { job: JobView }) {
  const records = useResource(acts()).data.value?.items ?? [];
  if (actsOf(records, job.job).length === 0) return null;
  return (
    <Section title={strings.acts.title}>
      <ActTable records={records} target={job.job} />
    </Section>
  );
}
