import { hashJson } from '#core/canonicalJson.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex, JobId } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { JobMessage } from '#core/messages.js';
import type { JobView } from '#core/views.js';
import type { Artifacts } from '#services/artifacts.js';
import type { Queue } from '#services/queue.js';
import { sha256 } from '#services/sha256.js';
import type { Table } from '#services/table.js';
import type { Logger } from './log.js';

export interface NewJob {
  job: JobId;
  spec: JobSpec;
  /** `submit`, `take over`, or the trigger's name. */
  trigger: string;
  delivery: string | null;
  coordinator: `0x${string}`;
}

/** A job's id follows from where it comes from, so that whatever is delivered twice meets the same row. */
export function deriveJobId(
  ...origin:
    | ['github', trigger: string, bodyHash: string]
    | ['standard', trigger: string, webhookId: string]
    | ['submit', member: string, key: string]
): JobId {
  const id: Hex = hashJson(sha256, origin);
  return id;
}

/** First the row, then the doorbell: whatever is lost in between, the sweeper finds the row and rings. */
export async function queueJob(
  parts: { table: Pick<Table, 'createJob' | 'getJob'>; queue: Queue; log: Logger },
  request: NewJob,
): Promise<{ job: JobId; repeated: boolean; existing: JobView | null }> {
  const { table, queue, log } = parts;
  const created = await table.createJob(queuedView(request, new Date().toISOString()));
  const existing = created ? null : await table.getJob(request.job);
  if (created || existing?.state === 'queued') {
    try {
      await queue.send({ type: 'job', job: request.job } satisfies JobMessage);
    } catch (error) {
      log.warn({ err: error, job: request.job }, 'the queue did not take the message; the sweeper will ring');
    }
  }
  log.info({ job: request.job, trigger: request.trigger, repeated: !created }, 'job queued');
  return { job: request.job, repeated: !created, existing };
}

/**
 * A spec is accepted only when it can be run: the files it names must be stored here.
 * @throws JOB_INVALID with every mistake and its path
 */
export async function checkSpec(
  { artifacts, coordinator }: { artifacts: Pick<Artifacts, 'has'>; coordinator: Hex },
  spec: JobSpec,
): Promise<void> {
  const mistakes: { path: string; message: string }[] = [];
  const files = [
    { path: 'model.sha256', sha256: spec.model.sha256 },
    ...(spec.evaluation ? [{ path: 'evaluation.sha256', sha256: spec.evaluation.sha256 }] : []),
  ];
  const stored = await Promise.all(files.map(({ sha256 }) => artifacts.has(sha256)));
  for (const [index, { path, sha256 }] of files.entries())
    if (!stored[index])
      mistakes.push({ path, message: `no artifact ${sha256} is stored here; upload it first` });
  if (!spec.updates.recipients.some(({ member }) => member === coordinator))
    mistakes.push({
      path: 'updates.recipients',
      message: `the coordinator ${coordinator} is not among those that can read the updates`,
    });
  const { quorum, most } = spec.participants;
  if (quorum !== 'all' && quorum > most)
    mistakes.push({
      path: 'participants.quorum',
      message: `a quorum of ${quorum} of at most ${most} runners`,
    });
  if (mistakes.length === 0) return;
  const lines = mistakes.map(({ path, message }) => `  ${path}: ${message}`).join('\n');
  throw new RoundtableError('JOB_INVALID', `The job cannot be run:\n${lines}`, { details: { mistakes } });
}

/** @throws JOB_INVALID for a job whose updates this stack could not read */
export function checkReader({ coordinator }: { coordinator: Hex }, { updates }: JobSpec): void {
  if (updates.recipients.some(({ member }) => member === coordinator)) return;
  throw new RoundtableError(
    'JOB_INVALID',
    `Member ${coordinator} is not among those that can read the job's updates, so it cannot go on with it.`,
  );
}

function queuedView({ job, spec, trigger, delivery, coordinator }: NewJob, now: string): JobView {
  return {
    seq: 0,
    updatedAt: now,
    job,
    state: 'queued',
    trigger,
    delivery,
    createdAt: now,
    spec,
    coordinator,
    round: 0,
    base: null,
    version: null,
    baseNumber: 0,
    accuracy: null,
    loss: null,
    archive: null,
    transactions: [],
    settledEpoch: null,
    problem: null,
  };
}
