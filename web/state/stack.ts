import type { ActRecord } from '#core/acts.js';
import type { CreditMessage } from '#core/messages.js';
import type {
  EarningView,
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

/** What each runner was credited in all: of single shares there may be millions. */
export const earnings = (): Resource<Items<EarningView>> => resource('/v1/earnings');

export const creditsOf = (job: string, round: number): Resource<Items<CreditMessage>> =>
  resource(`/v1/credits?job=${encodeURIComponent(job)}&round=${round}`);

/** So many rounds are held and shown at a time; a job may have thousands. */
export const roundsAtOnce = 100;

/** The newest rounds. Those that are done never change again, so only what follows them is asked for. */
export const rounds = (id: string): Resource<Items<RoundView>> =>
  resource(
    roundsPath(id),
    (held: Items<RoundView> | null, answer: Items<RoundView>) => mergeRounds(held, answer),
    (held) => (held?.items.length ? `?after=${settledRounds(held.items)}` : `?newest=${roundsAtOnce}`),
  );

/** Rounds in front of a number, which are done. */
export const roundsBefore = (id: string, before: number, newest = roundsAtOnce): Resource<Items<RoundView>> =>
  resource(`${roundsPath(id)}?newest=${newest}&before=${before}`, undefined, undefined, false);

/** Rounds of a long job, far enough from each other for a chart of all of it; null for a job that is held whole. */
export function sampledRounds(id: string, rounds: number): Resource<Items<RoundView>> | null {
  if (rounds <= roundsAtOnce) return null;
  // A power of two: the question is the same for a long time.
  const every = 2 ** Math.ceil(Math.log2(rounds / 300));
  return resource(`${roundsPath(id)}?every=${Math.max(1, every)}`, undefined, undefined, false);
}

/** All of them at once, for a file. @throws when the API does not answer */
export async function everyRound(id: string): Promise<RoundView[]> {
  const response = await fetch(`${config.peek()?.api ?? '.'}${roundsPath(id)}`);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return ((await response.json()) as Items<RoundView>).items;
}

const roundsPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}/rounds`;

/** The last round up to which all that are held are done. */
export function settledRounds(rounds: readonly RoundView[]): number {
  let settled = (rounds[0]?.round ?? 1) - 1;
  for (const { round, phase } of rounds) {
    if (round !== settled + 1 || phase !== 'done') break;
    settled = round;
  }
  return settled;
}

/** The newest rounds by their number; of two states of one round the one with the higher seq. */
export function mergeRounds(held: Items<RoundView> | null, answer: Items<RoundView>): Items<RoundView> {
  const byNumber = new Map((held?.items ?? []).map((round) => [round.round, round]));
  for (const round of answer.items) {
    const before = byNumber.get(round.round);
    if (!before || round.seq >= before.seq) byNumber.set(round.round, round);
  }
  const all = [...byNumber.values()].sort((a, b) => a.round - b.round);
  return { items: all.slice(-roundsAtOnce) };
}

const final: readonly JobState[] = ['done', 'cancelled', 'failed'];
export const isFinal = (state: JobState): boolean => final.includes(state);

function resource<T>(
  path: string,
  merge?: (held: T | null, answer: T) => T,
  query: (held: T | null) => string = () => '',
  changes = true,
): Resource<T> {
  const found = known.get(path);
  if (found) {
    known.delete(path);
    known.set(path, found);
    return found as unknown as Resource<T>;
  }
  const made = new Resource<T>(
    (held) => `${config.peek()?.api ?? '.'}${path}${query(held)}`,
    merge,
    undefined,
    changes,
  );
  forgetUnused();
  known.set(path, made as unknown as Resource<never>);
  return made;
}

/** A page that stays open for days shows many jobs, and need not remember all of them; the last asked for stay. */
function forgetUnused(): void {
  for (const [path, resource] of known) {
    if (known.size < mostKept) return;
    if (!resource.isUsed) known.delete(path);
  }
}
const mostKept = 30;
