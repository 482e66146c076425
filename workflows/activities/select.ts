import { hashJson } from '#core/canonicalJson.js';
import { sameShapes } from '#core/dataShape.js';
import { toHex } from '#core/hex.js';
import { claimedSamples, type JobSpec } from '#core/jobSpec.js';
import type { MissingRunner } from '#core/messages.js';
import { offlineAfterSeconds } from '#core/entryMessages.js';
import { openHash, selectionPlaces, type SelectionPlace } from '#core/openHash.js';
import { trainingSeed } from '#core/seed.js';
import type { RunnerView } from '#core/views.js';
import { weightShift } from '#core/weights.js';
import { sha256 } from '#services/sha256.js';
import type { RoundInput, RunnerGroup, Selection } from '../types.js';
import type { Dependencies } from './dependencies.js';

interface Candidate {
  view: RunnerView;
  maxSamples: number;
}

/**
 * Who is asked in a round: enrolled, registered and staked on chain, neither suspended nor drained, serving the data;
 * connected, unless the quorum is `all`, which waits for the absent. Where more are there than the job asks, a hash of job, round and runner
 * decides, so that turns are taken.
 */
export async function selectRunners(deps: Dependencies, input: RoundInput): Promise<Selection> {
  const { prepared, round } = input;
  const { spec } = prepared;
  const rules = spec.participants;
  const waitForAll = rules.quorum === 'all';
  const missing: MissingRunner[] = [];
  const candidates: Candidate[] = [];
  const serving = (await deps.table.listRunners()).flatMap((view) => {
    const samples = samplesServed(view, spec);
    return samples === null ? [] : [{ view, samples: claimedSamples(spec.data, samples) }];
  });
  const kept = await concurrently(
    100,
    serving,
    async ({ view }) => (await registration(deps, view)) ?? (await entry(deps, view)) ?? drained(view),
  );
  for (const [index, { view, samples }] of serving.entries()) {
    const absent = kept[index] ?? (waitForAll ? null : offline(view));
    if (absent) missing.push(absent);
    else candidates.push({ view, maxSamples: samples });
  }
  const turn = ({ view }: Candidate) =>
    toHex(trainingSeed(sha256, { job: prepared.job, round, runner: view.runner }));
  const chosen = candidates
    .sort((a, b) => (turn(a) < turn(b) ? -1 : 1))
    .slice(0, rules.most)
    .sort((a, b) => (a.view.runner < b.view.runner ? -1 : 1));

  const quorum = rules.quorum === 'all' ? Math.max(1, chosen.length) : rules.quorum;
  const selection = chosen.map(({ view, maxSamples }) => ({ runner: view.runner, maxSamples }));
  const fields = {
    job: prepared.job,
    round,
    baseVersion: input.base.versionId,
    specHash: hashJson(sha256, spec),
    shift: selection.length > 0 ? weightShift(selection.map(({ maxSamples }) => maxSamples)) : 0,
    selection,
  };
  const ready = selection.length >= quorum;
  const opening = { ...fields, openHash: ready ? openHash(sha256, fields) : fields.specHash };
  return { opening, missing, quorum, ready };
}

/** Where the runners of a group stand in the selection; workflows cannot hash. */
export function findPlaces({ opening, from, to }: RunnerGroup): SelectionPlace[] {
  return selectionPlaces(sha256, opening.selection, from, to);
}

/** As Promise.all over the entries, at most `most` at a time. */
async function concurrently<T, R>(
  most: number,
  entries: readonly T[],
  work: (entry: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const waiting = entries.entries();
  const worker = async () => {
    for (const [index, entry] of waiting) results[index] = await work(entry);
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}

function samplesServed(view: RunnerView, spec: JobSpec): number | null {
  const { contract, classes } = spec.data;
  const served = view.data.find(
    (data) => data.name === contract && data.classes === classes && sameShapes(data, spec.data),
  );
  return served?.samples ?? null;
}

async function registration(deps: Dependencies, { runner }: RunnerView): Promise<MissingRunner | null> {
  const registered = await deps.chain.runner(runner);
  if (registered && registered.stake > 0n && !registered.leftAt) return null;
  const reason = registered ? 'has left the consortium or has no stake' : 'is not registered on chain';
  return { runner, code: 'not-registered', reason };
}

/** A runner that never came in has no key that its tasks could be encrypted with; one that is barred gets none. */
async function entry(deps: Dependencies, { runner }: RunnerView): Promise<MissingRunner | null> {
  if ((await deps.table.sealingKey(runner)) === null)
    return { runner, code: 'offline', reason: 'has not entered this stack yet' };
  const suspension = await deps.table.suspension(runner);
  const reason = `suspended since ${suspension?.at}: ${suspension?.reason}`.slice(0, 1_000);
  return suspension && { runner, code: 'suspended', reason };
}

/** It finishes what it has; whoever drained it wants it to get nothing new. */
function drained({ runner, drain }: RunnerView): MissingRunner | null {
  const why = drain?.reason ? `: ${drain.reason}` : '';
  return (
    drain && {
      runner,
      code: 'drained',
      reason: `gets no new rounds since ${drain.at}, by ${drain.by}${why}`.slice(0, 1_000),
    }
  );
}

function offline({ runner, lastSeen, state, connected }: RunnerView): MissingRunner | null {
  const silence = (Date.now() - Date.parse(lastSeen)) / 1000;
  if (state === 'leaving') return { runner, code: 'offline', reason: `stopped by its owner ${ago(silence)}` };
  if (!connected || silence > offlineAfterSeconds)
    return { runner, code: 'offline', reason: `last seen ${ago(silence)}` };
  return null;
}

function ago(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
}
