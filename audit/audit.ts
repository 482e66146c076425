/**
 * Verifies versions from chain and archive alone: every commitment, signature, tree and reward on the way from
 * version 0, and, where the updates are at hand, the sum and the step to the bit.
 */
import type { Hex } from '#core/hex.js';
import { allJobs, checkChainRecord, jobOfVersion } from './chainRecord.js';
import { AuditStopped, Checklist, Wrong, type Check } from './checklist.js';
import { checkModelFile, type OpenedModel } from './documents.js';
import { checkGenesis } from './genesis.js';
import { checkRound, type RoundState } from './round.js';
import { checkSettlement } from './settlement.js';
import type { AuditSources } from './sources.js';

export type { Check } from './checklist.js';
export type { AuditSources } from './sources.js';

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
}

/** One version with its whole lineage, and the settlement of whoever coordinated it. */
export function auditVersion(
  sources: AuditSources,
  version: Hex,
  onCheck?: (check: Check) => void,
): Promise<Audit> {
  return audit(onCheck, async (list, rounds) => {
    const walk = new Walk(list, sources, rounds);
    const job = await walk.version(version);
    const record = await sources.chain.job(job);
    if (record) await checkSettlement(list, sources, record.coordinator);
  });
}

/** Every job on the chain, and every coordinator's settlement. */
export function auditAll(sources: AuditSources, onCheck?: (check: Check) => void): Promise<Audit> {
  return audit(onCheck, async (list, rounds) => {
    const walk = new Walk(list, sources, rounds);
    const payers = new Set<Hex>();
    for (const job of await allJobs(sources.chain)) {
      await walk.job(job);
      const record = await sources.chain.job(job);
      if (record) payers.add(record.coordinator);
    }
    for (const payer of payers) await checkSettlement(list, sources, payer);
  });
}

async function audit(
  onCheck: ((check: Check) => void) | undefined,
  work: (list: Checklist, rounds: Map<string, AuditedRoundSummary>) => Promise<void>,
): Promise<Audit> {
  const list = new Checklist(onCheck);
  const rounds = new Map<string, AuditedRoundSummary>();
  try {
    await work(list, rounds);
  } catch (error) {
    if (!(error instanceof AuditStopped)) throw error;
  }
  const wrong = list.checks.find(({ ok }) => ok === false) ?? null;
  return { ok: wrong === null, checks: list.checks, wrong, rounds: [...rounds.values()] };
}

/** Walks jobs from their start; what was verified is not verified twice. */
class Walk {
  /** The state after each round of each verified job. */
  readonly #done = new Map<Hex, RoundState[]>();

  constructor(
    private readonly list: Checklist,
    private readonly sources: AuditSources,
    private readonly rounds: Map<string, AuditedRoundSummary>,
  ) {}

  /** @returns the job of the version */
  async version(version: Hex): Promise<Hex> {
    const place = await this.#place(`version ${version.slice(0, 12)}`, version);
    await this.job(place.job, place.round);
    return place.job;
  }

  /** @param last the round to stop after. @returns the states after round 0, 1, … */
  async job(job: Hex, last = Infinity): Promise<RoundState[]> {
    const known = this.#done.get(job);
    if (known && (known.length > last || last === Infinity)) return known;
    const { list, sources } = this;
    const record = await checkChainRecord(list, sources.chain, job);
    const parent =
      record.job.parentVersion === null ? undefined : await this.#parent(record.job.parentVersion);
    const genesis = await checkGenesis(list, sources, record, parent);
    const states: RoundState[] = [
      { ...genesis, version: genesis.manifest.version, manifestHash: record.job.manifestHash },
    ];
    for (const { closing, ...round } of record.rounds) {
      const base = states.at(-1);
      if (!closing || !base || round.round > last) break;
      const {
        manifest: _,
        recomputed,
        ...state
      } = await checkRound(list, sources, genesis, base, { ...round, closing });
      const version = state.version.versionId;
      this.rounds.set(`${job}/${round.round}`, { job, round: round.round, version, recomputed });
      // Parameters are needed for one step only; a long job must not keep them all.
      base.model = null;
      states.push(state);
    }
    this.#done.set(job, states);
    return states;
  }

  /** The model of the version that a job goes on from, verified with its own lineage. */
  async #parent(version: Hex): Promise<OpenedModel> {
    const { job, round } = await this.#place('parent version', version);
    const state = (await this.job(job, round))[round];
    if (!state) throw new Error(`round ${round} of job ${job} was not walked`);
    return checkModelFile(this.list, this.sources, 'parent version', state.version, state.files);
  }

  #place(subject: string, version: Hex): Promise<{ job: Hex; round: number }> {
    return this.list.check(
      subject,
      'known to the chain',
      'RoundClosed and JobCreated events',
      async (say) => {
        const place = await jobOfVersion(this.sources.chain, version);
        if (!place) throw new Wrong(`the chain knows no version ${version}`);
        say(`round ${place.round} of job ${place.job.slice(0, 12)}`);
        return place;
      },
    );
  }
}
