/**
 * Verifies versions from chain and archive alone: every commitment, signature, tree and reward on the way from
 * version 0, and, where the updates are at hand, the sum and the step to the bit.
 */
import type { Hex } from '#core/hex.js';
import { checkChainRecord, type JobRecord } from './chainRecord.js';
import { AuditStopped, Checklist, type Check } from './checklist.js';
import { checkGenesis, type Genesis } from './genesis.js';
import { findParent, findPlace, nameOf, type VersionPlace } from './place.js';
import { checkRound, type AuditedRound, type RoundState } from './round.js';
import { checkSettlements } from './settlement.js';
import type { AuditChain, AuditSources } from './sources.js';
import { checkModelFile, type OpenedModel } from './version.js';

export interface Audit {
  ok: boolean;
  checks: Check[];
  /** The first wrong thing; nothing was looked at behind it. */
  wrong: Check | null;
  rounds: AuditedRoundSummary[];
}

export interface AuditedRoundSummary {
  job: Hex;
  round: number;
  version: Hex;
  /** False: the sum was not recomputed and stands on the coordinator's word. */
  recomputed: boolean;
  coordinator: Hex;
}

export interface AuditOptions {
  /** The job that a version of several jobs is meant in; also: the line that it must be of. */
  job?: Hex;
  /** Called for every check, for progress. */
  onCheck?: (check: Check) => void;
}

/**
 * One version with its whole lineage, and the settlements of whoever coordinated it.
 * @throws CONFLICT when the version is in several jobs and none is named
 */
export function auditVersion(
  sources: AuditSources<AuditChain>,
  version: Hex,
  { job, onCheck }: AuditOptions = {},
): Promise<Audit> {
  return audit(sources, onCheck, (walk) => walk.version(version, job));
}

/** Every job on the chain, and every coordinator's settlement. */
export function auditAll(
  sources: AuditSources<AuditChain>,
  { onCheck }: Pick<AuditOptions, 'onCheck'> = {},
): Promise<Audit> {
  return audit(sources, onCheck, async (walk) => {
    for (const job of await sources.chain.jobs()) await walk.job(job);
  });
}

async function audit(
  sources: AuditSources<AuditChain>,
  onCheck: AuditOptions['onCheck'],
  work: (walk: Walk) => Promise<void>,
): Promise<Audit> {
  const list = new Checklist(onCheck);
  const walk = new Walk(list, sources);
  if (sources.chainRecord !== undefined)
    list.unchecked('chain', 'record', 'no node was asked', sources.chainRecord);
  try {
    await work(walk);
    await checkSettlements(list, sources, [...walk.coordinators], walk.shares);
  } catch (error) {
    if (!(error instanceof AuditStopped)) throw error;
  }
  const wrong = list.checks.find(({ ok }) => ok === false) ?? null;
  return { ok: wrong === null, checks: list.checks, wrong, rounds: walk.rounds };
}

/** Walks jobs from their start; what was verified is not verified twice. */
class Walk {
  readonly rounds: AuditedRoundSummary[] = [];
  /** Of all that was walked: they owe the rewards. */
  readonly coordinators = new Set<Hex>();
  readonly shares = new Map<string, { manifestHash: Hex; shares: AuditedRound['shares'] }>();
  readonly #jobs = new Map<Hex, WalkedJob>();

  constructor(
    private readonly list: Checklist,
    private readonly sources: AuditSources<AuditChain>,
  ) {}

  async version(version: Hex, job: Hex | undefined): Promise<void> {
    const how = 'RoundClosed and JobCreated events';
    const { round, job: found } = await this.list.check(
      `version ${version.slice(0, 12)}`,
      job === undefined ? 'known to the chain' : 'of the line of the job',
      how,
      async (say) => {
        const { place, others } = await findPlace(this.sources.chain, version, job);
        say([place, ...others].map(nameOf).join('; also '));
        return place;
      },
    );
    await this.job(found, round);
  }

  /** @param last the round to stop after */
  async job(job: Hex, last = Infinity): Promise<void> {
    const { list, sources } = this;
    const walked = this.#jobs.get(job) ?? (await this.#start(job));
    const { record, genesis, states } = walked;
    for (const { closing, ...round } of record.rounds.slice(states.length - 1)) {
      const base = states.at(-1);
      if (!closing || !base || round.round > last) break;
      const place = { job, round: round.round };
      const { recomputed, shares, ...state } = await checkRound(list.at(place), sources, genesis, base, {
        ...round,
        closing,
      });
      const { versionId } = state.record.version;
      this.rounds.push({ ...place, version: versionId, recomputed, coordinator: round.coordinator });
      this.coordinators.add(round.coordinator);
      this.shares.set(`${job}/${round.round}`, { manifestHash: closing.manifestHash, shares });
      // Parameters are needed for one step only; a long job must not keep them all.
      base.model = null;
      states.push(state);
    }
    const isOver = !record.rounds[states.length - 1]?.closing;
    const end = states.at(-1);
    if (isOver && end) end.model = null;
  }

  async #start(job: Hex): Promise<WalkedJob> {
    const { sources } = this;
    const list = this.list.at({ job });
    const record = await checkChainRecord(list, sources.chain, job);
    const parent = record.job.parentVersion === null ? undefined : await this.#parent(list, record);
    const { model, ...genesis } = await checkGenesis(list.at({ round: 0 }), sources, record, parent);
    const { manifest } = genesis;
    const states = [{ record: manifest, model, manifestHash: record.job.manifestHash }];
    const walked = { record, genesis, states };
    this.#jobs.set(job, walked);
    this.coordinators.add(record.job.coordinator);
    return walked;
  }

  /** The model of the version that a job goes on from, verified with its own lineage. */
  async #parent(list: Checklist, record: JobRecord): Promise<OpenedModel> {
    const { chain } = this.sources;
    const how = 'RoundClosed and JobCreated events before the job';
    const place = await list.check<VersionPlace>('parent version', 'known to the chain', how, async (say) => {
      const found = await findParent(chain, record.job);
      say(nameOf(found));
      return found;
    });
    await this.job(place.job, place.round);
    const state = this.#jobs.get(place.job)?.states[place.round];
    if (!state) throw new Error(`round ${place.round} of job ${place.job} was not walked`);
    const { job, round } = place;
    return checkModelFile(list.at({ job, round }), this.sources, 'parent version', state.record);
  }
}

interface WalkedJob {
  record: JobRecord;
  genesis: Omit<Genesis, 'model'>;
  /** After round 0, 1, …; only the last has its model. */
  states: RoundState[];
}
