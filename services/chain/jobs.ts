import type { JsonRpcProvider } from 'ethers';
import type { Address, Deployment } from '#contracts/deployment.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract } from '#contracts/typed.js';
import type { Fraction } from '#core/step.js';
import type { Hex, JobId, Sha256Hex, VersionId } from '#core/hex.js';
import { isRoundtableError } from '#core/errors.js';
import { bytes32ToArchiveId } from '../archiveId.js';
import type { JobTerms } from './terms.js';
import { chainError } from './errors.js';
import { lastBlock, logReader, type Anchor, type Confirmed } from './logs.js';
import { lowerCase } from './lowerCase.js';
import type { RoundClosing } from '../chainCalls.js';

/** archiveId is the genesis manifest's; parentVersion is null for a new model; budget in token units. */
export interface ChainJob extends Anchor {
  job: JobId;
  coordinator: Address;
  specHash: Sha256Hex;
  parentVersion: VersionId | null;
  genesisVersion: VersionId;
  manifestHash: Sha256Hex;
  archiveId: string;
  rounds: number;
  budget: bigint;
  terms: JobTerms;
  /** Newest opened round, 0 before the first. */
  latest: number;
  phase: 'idle' | 'open' | 'convicted' | 'finished';
}

/** A round's closing, with where it is on the chain. */
export interface ChainClosing extends RoundClosing, Anchor {}

/** coordinator: who opened it, which is another than the job's first after a take-over. */
export interface ChainRound extends Anchor {
  round: number;
  openHash: Sha256Hex;
  coordinator: Address;
  closing: ChainClosing | null;
}

/** Where a job's money is: token units; released is the newest round whose budget is in its coordinator's purse. */
export interface ChainEscrow {
  coordinator: Address;
  budget: bigint;
  bond: bigint;
  released: number;
  /** Newest round that stands closed, 0 before the first. */
  closed: number;
  phase: 'running' | 'convicted' | 'finished' | 'refunded';
  /** Block time from which a finished job can be refunded; 0 unless a round died with it. */
  refundableAt: number;
  /** Questions about it wait for an answer: until then nothing of it becomes final. */
  waits: boolean;
}

/** Rounds whose budgets went into a coordinator's purse: it, and nobody else, owes them to their runners. */
export interface ChainRelease extends Anchor {
  coordinator: Address;
  from: number;
  to: number;
}

export interface JobReads {
  job(job: JobId, at?: Confirmed): Promise<ChainJob | null>;
  /** Jobs that this member created or took over, whoever coordinates them now. */
  jobsOf(coordinator: Address, at?: Confirmed): Promise<JobId[]>;
  /** All jobs, oldest first. */
  jobs(at?: Confirmed): Promise<JobId[]>;
  /** Jobs that start from this version. */
  jobsFrom(version: VersionId, at?: Confirmed): Promise<JobId[]>;
  /** All rounds that were opened and stand. */
  rounds(job: JobId, at?: Confirmed): Promise<ChainRound[]>;
  /** Rounds that a conviction made void, or that a take-over left open; others may have their numbers by now. */
  voidRounds(job: JobId, at?: Confirmed): Promise<ChainRound[]>;
  /** Rounds that closed with this version, void ones too (the version that a job starts from is in its job). */
  closedVersions(version: VersionId, at?: Confirmed): Promise<ChainClosing[]>;
  /** Who let a round die that was open, by the word of its opening; null for one that did not. */
  died(opening: Hex): Promise<Address | null>;
  /** Members that are drawn for the newest round, in the order of the draw; null while nobody knows the draw. */
  drawn(job: JobId): Promise<Address[] | null>;
  /** Whether the newest draw is kept, so that it stays known. */
  isDrawKept(job: JobId): Promise<boolean>;
  /** Where the job ended; null while it goes on. */
  finished(job: JobId, at?: Confirmed): Promise<Anchor | null>;
  /** Every closing of every job, void ones too. */
  closings(at?: Confirmed): Promise<ChainClosing[]>;
  /** The newest round that cannot be disputed any more, 0 while there is none. */
  finalRound(job: JobId): Promise<number>;
  escrow(job: JobId): Promise<ChainEscrow>;
  releases(job: JobId, at?: Confirmed): Promise<ChainRelease[]>;
  /** Seconds after its closing in which a round can be disputed. */
  disputeWindow(): Promise<number>;
  /** Whether nothing can be brought against a round any more: closed, its window over, nobody waits or may ask on. */
  isFinal(job: JobId, round: number): Promise<boolean>;
  /** Words in storage (words.ts), null while there is none; round 0 closes with the job's creation. */
  commitments(job: JobId, round: number): Promise<{ opening: Hex | null; closing: Hex | null }>;
}

export function jobReads(
  provider: JsonRpcProvider,
  deployment: Pick<Deployment, 'jobs' | 'block'>,
): JobReads {
  const jobs = typedContract(jobsAbi, deployment.jobs, provider);
  const logs = logReader(provider, deployment);

  const closings = async (
    indexed: { job?: Hex; versionId?: Hex },
    at?: Confirmed,
  ): Promise<ChainClosing[]> => {
    const closed = await logs(jobs, 'RoundClosed', indexed, at);
    return closed.map(({ args, ...anchor }) => ({
      job: args.job,
      round: Number(args.round),
      rootHeader: args.rootHeader,
      paramsRoot: args.paramsRoot,
      versionId: args.versionId,
      manifestHash: args.manifestHash,
      archiveId: bytes32ToArchiveId(args.arweaveId),
      ...anchor,
    }));
  };

  const created = async (indexed: { coordinator?: Hex; genesisVersion?: Hex }, at?: Confirmed) =>
    (await logs(jobs, 'JobCreated', indexed, at)).map(({ args }) => args.job);

  /** A round's number is given anew after a conviction or a take-over: only its last opening can stand. */
  const attempts = async (job: JobId, at?: Confirmed): Promise<(ChainRound & { stands: boolean })[]> => {
    const opened = await logs(jobs, 'RoundOpened', { job }, at);
    if (opened.length === 0) return [];
    const [creation] = await logs(jobs, 'JobCreated', { job }, at);
    const takenOver = await logs(jobs, 'JobTakenOver', { job }, at);
    const closed = await closings({ job }, at);
    const [, latest] = await (await jobsAt(at)).read.jobs(job);
    return opened.map(({ args, ...anchor }, index) => {
      const round = Number(args.round);
      const again = opened.slice(index + 1).find((later) => later.args.round === args.round);
      const closing = closed.find(
        (entry) =>
          entry.round === round && entry.block >= anchor.block && entry.block < (again?.block ?? Infinity),
      );
      const coordinator =
        takenOver.findLast(({ block }) => block <= anchor.block)?.args.coordinator ??
        creation?.args.coordinator ??
        ZERO_ADDRESS;
      return {
        round,
        openHash: args.openHash,
        coordinator: lowerCase(coordinator),
        closing: closing ?? null,
        stands: again === undefined && round <= Number(latest),
        ...anchor,
      };
    });
  };
  const jobsAt = async (at: Confirmed | undefined) => {
    const block = await lastBlock(provider, at);
    return typedContract(jobsAbi, deployment.jobs, {
      provider,
      call: (request) => provider.call({ ...request, blockTag: block }),
    });
  };

  return {
    job: async (job, at) => {
      const [creation] = await logs(jobs, 'JobCreated', { job }, at);
      if (creation === undefined) return null;
      const then = await jobsAt(at);
      const [, latest, state] = await then.read.jobs(job);
      const closed = BigInt(await then.read.closings(job, latest)) !== 0n;
      const { args: event, ...anchor } = creation;
      const args = event.creation;
      return {
        job,
        coordinator: lowerCase(args.coordinator),
        specHash: args.specHash,
        parentVersion: orNull(args.parentVersion),
        genesisVersion: args.genesisVersion,
        manifestHash: args.manifestHash,
        archiveId: bytes32ToArchiveId(args.arweaveId),
        rounds: Number(args.rounds),
        budget: args.budget,
        latest: Number(latest),
        terms: {
          dimension: Number(args.terms.dimension),
          rule: Number(args.terms.rule),
          rate: fraction(args.terms.rateNumerator, args.terms.rateDenominator),
          momentum: fraction(args.terms.momentumNumerator, args.terms.momentumDenominator),
          attesters: Number(args.terms.attesters),
          sampleCap: Number(args.terms.sampleCap),
        },
        phase: phaseOf(Number(state), closed),
        ...anchor,
      };
    },
    jobsOf: async (coordinator, at) => {
      const takenOver = await logs(jobs, 'JobTakenOver', { coordinator }, at);
      return [
        ...new Set([...(await created({ coordinator }, at)), ...takenOver.map(({ args }) => args.job)]),
      ];
    },
    jobs: (at) => created({}, at),
    jobsFrom: (genesisVersion, at) => created({ genesisVersion }, at),
    rounds: async (job, at) =>
      (await attempts(job, at)).flatMap(({ stands, ...round }) => (stands ? [round] : [])),
    voidRounds: async (job, at) =>
      (await attempts(job, at)).flatMap(({ stands, ...round }) => (stands ? [] : [round])),
    closedVersions: (versionId, at) => closings({ versionId }, at),
    died: async (opening) => {
      const coordinator = await jobs.read.died(opening);
      return BigInt(coordinator) === 0n ? null : lowerCase(coordinator);
    },
    drawn: async (job) => {
      try {
        return (await jobs.read.drawn(job)).map(lowerCase);
      } catch (error) {
        const reverted = chainError(error, 'Reading who is drawn');
        if (isRoundtableError(reverted) && reverted.details['error'] === 'SeedUnknown') return null;
        throw reverted;
      }
    },
    isDrawKept: async (job) => {
      const opened = (await logs(jobs, 'RoundOpened', { job }, undefined)).at(-1);
      if (!opened) return false;
      return (await logs(jobs, 'SeedKept', { job }, { from: opened.block })).length > 0;
    },
    finished: async (job, at) => {
      const ends = await logs(jobs, 'JobFinished', { job }, at);
      const { block, transaction } = ends.at(-1) ?? {};
      return block === undefined || transaction === undefined ? null : { block, transaction };
    },
    closings: (at) => closings({}, at),
    finalRound: async (job) => {
      let round = Number(await jobs.read.lastClosed(job));
      // Rounds become final in their order, so the newest that is one settles it.
      while (round > 0 && !(await jobs.read.isFinal(job, BigInt(round)))) round -= 1;
      return round;
    },
    disputeWindow: async () => Number(await jobs.read.window()),
    escrow: async (job) => {
      const [coordinator, , state, holds, , , budget, bond, released] = await jobs.read.jobs(job);
      const closed = await jobs.read.lastClosed(job);
      const phase = (['running', 'convicted', 'finished', 'refunded'] as const)[Number(state)] ?? 'running';
      return {
        coordinator: lowerCase(coordinator),
        budget,
        bond,
        released: Number(released),
        closed: Number(closed),
        phase,
        waits: holds > 0n,
        refundableAt: Number(await jobs.read.refundableAt(job)),
      };
    },
    releases: async (job, at) =>
      (await logs(jobs, 'BudgetReleased', { job }, at)).map(({ args, ...anchor }) => ({
        coordinator: lowerCase(args.coordinator),
        from: Number(args.from),
        to: Number(args.to),
        ...anchor,
      })),
    isFinal: (job, round) => jobs.read.isFinal(job, BigInt(round)),
    commitments: async (job, round) => ({
      opening: orNull(await jobs.read.openings(job, BigInt(round))),
      closing: orNull(await jobs.read.closings(job, BigInt(round))),
    }),
  };
}

const ZERO_ADDRESS = `0x${'00'.repeat(20)}` as const;

function phaseOf(state: number, closed: boolean): ChainJob['phase'] {
  if (state === 1) return 'convicted';
  if (state > 1) return 'finished';
  return closed ? 'idle' : 'open';
}

function fraction(numerator: bigint, denominator: bigint): Fraction {
  return { numerator: Number(numerator), denominator: Number(denominator) };
}

function orNull(bytes32: Hex): Hex | null {
  return BigInt(bytes32) === 0n ? null : bytes32;
}
