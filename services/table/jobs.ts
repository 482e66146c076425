import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import { finalJobStates, jobView, roundView, type JobView, type RoundView } from '#core/views.js';
import { ordinal, type Item, type Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** What a job row can be waiting for: to be started by dispatch, or to be paid by a settlement. */
export type WaitingFor = 'dispatch' | 'settlement';

/** Rounds behind `after` and in front of `before`, of these the `newest` so many; what is not said is no bound. */
export interface RoundRange {
  after?: number | undefined;
  before?: number | undefined;
  newest?: number | undefined;
}

/** Jobs and their rounds. Owned by the job's workflow, which projects with a rising seq; created by webhook or API. */
export interface JobTable {
  /** False: it exists already. */
  createJob(view: JobView): Promise<boolean>;
  getJob(job: JobId): Promise<JobView | null>;
  /** Newest first. */
  listJobs(options?: { limit?: number | undefined }): Promise<JobView[]>;
  /** False: an equal or newer seq is there. Keeps `settledEpoch`, which only settleJob writes. */
  projectJob(view: JobView): Promise<boolean>;
  /** For a job read in a final state, once its rounds are in that epoch. @throws NOT_FOUND */
  settleJob(job: JobId, epoch: number): Promise<void>;
  /** Jobs that wait for that since before then (ISO 8601), longest first. */
  listWaiting(what: WaitingFor, before: string, limit: number): Promise<JobView[]>;
  /** Lets a queued job, which was rung for or handed to Temporal, count as waiting since then; that may lie ahead. */
  markRung(job: JobId, at: string): Promise<void>;
  projectRound(view: RoundView): Promise<boolean>;
  /** Ascending by round: all, or those of a range. */
  listRounds(job: JobId, range?: RoundRange): Promise<RoundView[]>;
  /** Those of these rounds that are there, ascending. */
  getRounds(job: JobId, rounds: readonly number[]): Promise<RoundView[]>;
}

export function jobTable(items: Items): JobTable {
  return {
    async createJob(view) {
      const { created } = await items.create({
        ...jobKey(view.job),
        ...listed(view),
        ...(view.state === 'queued' ? { waiting: 'dispatch', since: view.createdAt } : {}),
        seq: view.seq,
        view: encodeView(view),
      });
      return created;
    },

    async getJob(job) {
      const item = await items.get(jobKey(job));
      return item && decodeJob(item);
    },

    async listJobs({ limit } = {}) {
      return (await items.list('jobs', { limit, descending: true })).map(decodeJob);
    },

    async projectJob(view) {
      const waiting = waitingAfter(view);
      const { list, order } = listed(view);
      const { updated } = await items.update(jobKey(view.job), {
        expression:
          'SET #view = :view, #seq = :seq, #list = :list, #order = :order' +
          (waiting ? ', #waiting = :waiting, #since = :since' : ' REMOVE #waiting, #since'),
        condition: 'attribute_not_exists(pk) OR #seq < :seq',
        values: {
          ':view': encodeView(view),
          ':seq': view.seq,
          ':list': list,
          ':order': order,
          ...(waiting ? { ':waiting': waiting, ':since': view.updatedAt } : {}),
        },
      });
      return updated;
    },

    async settleJob(job, epoch) {
      const { updated, existing } = await items.update(jobKey(job), {
        expression: 'SET #settledEpoch = :epoch REMOVE #waiting, #since',
        condition:
          'attribute_exists(pk) AND (attribute_not_exists(#settledEpoch) OR #settledEpoch <= :epoch)',
        values: { ':epoch': epoch },
      });
      if (!updated && !existing) throw new RoundtableError('NOT_FOUND', `There is no job ${job} to settle.`);
    },

    async listWaiting(what, before, limit) {
      const keys = await items.waiting(what, before, limit);
      // The index lags and holds keys only: the row itself says whether it still waits.
      const rows = await Promise.all(keys.map((key) => items.get(key)));
      return rows.filter((row) => row?.['waiting'] === what).map((row) => decodeJob(row as Item));
    },

    async markRung(job, at) {
      await items.update(jobKey(job), {
        expression: 'SET #since = :at',
        condition: '#waiting = :dispatch',
        values: { ':at': at, ':dispatch': 'dispatch' satisfies WaitingFor },
      });
    },

    projectRound: (view) => items.project({ ...roundKey(view), seq: view.seq, view: encodeView(view) }),

    async listRounds(job, { after = 0, before = lastRound + 1, newest } = {}) {
      if (after + 1 > before - 1) return [];
      const from = roundKey({ job, round: after + 1 });
      const to = roundKey({ job, round: Math.min(before - 1, lastRound) });
      return (await items.between(from.pk, from.sk, to.sk, newest)).map((item) =>
        decodeView(roundView, item),
      );
    },

    async getRounds(job, rounds) {
      const found = await items.getAll(rounds.map((round) => roundKey({ job, round })));
      return found.map((item) => decodeView(roundView, item)).sort((a, b) => a.round - b.round);
    },
  };
}

/** No job has as many; its sort key is the last. */
const lastRound = 999_999_999_999;
export const jobKey = (job: JobId) => ({ pk: `job#${job}`, sk: 'job' });
export const roundKey = ({ job, round }: Pick<RoundView, 'job' | 'round'>) => ({
  pk: jobKey(job).pk,
  sk: `round#${ordinal(round)}`,
});
export const listed = (view: JobView) => ({ list: 'jobs', order: `${view.createdAt}#${view.job}` });

export function waitingAfter(view: JobView): WaitingFor | null {
  if (view.state === 'queued') return 'dispatch';
  const owes = view.round > 0 && view.spec.rewards.budget !== '0';
  return finalJobStates.includes(view.state) && owes ? 'settlement' : null;
}

function decodeJob(item: Item): JobView {
  return decodeView(jobView, item, { settledEpoch: item['settledEpoch'] ?? null });
}
