import type { ActRecord } from '#core/acts.js';
import type { CreditMessage } from '#core/messages.js';
import type {
  EpochView,
  JobState,
  JobView,
  QueueView,
  RoundView,
  RunnerView,
  TriggerView,
  VersionView,
} from '#core/views.js';
import { config } from './config.js';
import { busy, Resource } from './resource.js';

/** One resource for each path of the API, shared by whoever shows it. */
interface Items<T> {
  items: T[];
}

const known = new Map<string, Resource<never>>();
export const allResources = (): Iterable<Resource<never>> => known.values();

export const jobs = (): Resource<Items<JobView>> =>
  resource('/v1/jobs', (_, answer: Items<JobView>) => {
    busy.value = answer.items.some(({ state }) => !isFinal(state));
    return answer;
  });
export const job = (id: string): Resource<JobView> => resource(`/v1/jobs/${encodeURIComponent(id)}`);
export const versions = (): Resource<Items<VersionView>> => resource('/v1/versions');
export const runners = (): Resource<Items<RunnerView>> => resource('/v1/runners');
export const triggers = (): Resource<Items<TriggerView>> => resource('/v1/triggers');
export const queues = (): Resource<Items<QueueView>> => resource('/v1/queues');
export const epochs = (): Resource<Items<EpochView>> => resource('/v1/epochs');
/** The log only grows, so what is held is not asked for again. */
export const acts = (): Resource<Items<ActRecord>> =>
  resource(
    '/v1/acts',
    (held: Items<ActRecord> | null, answer: Items<ActRecord>) => ({
      items: [...(held?.items ?? []), ...answer.items.filter(({ seq }) => seq > lastSeq(held))],
    }),
    (held) => `?after=${lastSeq(held)}`,
  );
const lastSeq = (held: Items<ActRecord> | null): number => held?.items.at(-1)?.seq ?? 0;

export const credits = (): Resource<Items<CreditMessage>> => resource('/v1/credits');

/** Rounds that are done never change again, so only what follows them is asked for. */
export const rounds = (id: string): Resource<Items<RoundView>> =>
  resource(
    `/v1/jobs/${encodeURIComponent(id)}/rounds`,
    (held: Items<RoundView> | null, answer: Items<RoundView>) => mergeRounds(held, answer),
    (held) => `?after=${settledRounds(held?.items ?? [])}`,
  );

/** The last round up to which all are done. */
export function settledRounds(rounds: readonly RoundView[]): number {
  let settled = 0;
  for (const { round, phase } of rounds) {
    if (round !== settled + 1 || phase !== 'done') break;
    settled = round;
  }
  return settled;
}

/** Rounds by their number; of two states of one round the one with the higher seq. */
export function mergeRounds(held: Items<RoundView> | null, answer: Items<RoundView>): Items<RoundView> {
  const byNumber = new Map((held?.items ?? []).map((round) => [round.round, round]));
  for (const round of answer.items) {
    const before = byNumber.get(round.round);
    if (!before || round.seq >= before.seq) byNumber.set(round.round, round);
  }
  return { items: [...byNumber.values()].sort((a, b) => a.round - b.round) };
}

const final: readonly JobState[] = ['done', 'cancelled', 'failed'];
export const isFinal = (state: JobState): boolean => final.includes(state);

function resource<T>(
  path: string,
  merge?: (held: T | null, answer: T) => T,
  query: (held: T | null) => string = () => '',
): Resource<T> {
  const found = known.get(path);
  if (found) return found as unknown as Resource<T>;
  const made = new Resource<T>((held) => `${config.peek()?.api ?? '.'}${path}${query(held)}`, merge);
  known.set(path, made as unknown as Resource<never>);
  return made;
}
