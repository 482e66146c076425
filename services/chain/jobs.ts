import type { JsonRpcProvider } from 'ethers';
import type { Address, Deployment } from '#contracts/deployment.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract } from '#contracts/typed.js';
import type { Fraction } from '#core/step.js';
import type { Hex, JobId, Sha256Hex, VersionId } from '#core/hex.js';
import { bytes32ToArchiveId } from '../archiveId.js';
import type { JobTerms } from './terms.js';
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

export interface ChainRound extends Anchor {
  round: number;
  openHash: Sha256Hex;
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
}

export interface JobReads {
  job(job: JobId, at?: Confirmed): Promise<ChainJob | null>;
  /** Jobs that this member coordinates. */
  jobsOf(coordinator: Address, at?: Confirmed): Promise<JobId[]>;
  /** All rounds that were opened. */
  rounds(job: JobId, at?: Confirmed): Promise<ChainRound[]>;
  /** The round that closed with this version; null if none did (the version that a job starts from is in its job). */
  closedVersion(version: VersionId, at?: Confirmed): Promise<ChainClosing | null>;
  escrow(job: JobId): Promise<ChainEscrow>;
  /** Seconds after its closing in which a round can be disputed. */
  disputeWindow(): Promise<number>;
  /** Whether nothing can be brought against a round any more: closed, its window over, no question about the job open. */
  isFinal(job: JobId, round: number): Promise<boolean>;
  /** Words in storage (words.ts), null while there is none; round 0 closes with the job's creation. */
  commitments(job: JobId, round: number): Promise<{ opening: Hex | null; closing: Hex | null }>;
}

export function jobReads(provider: JsonRpcProvider, deployment: Deployment): JobReads {
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
  return {
    job: async (job, at) => {
      const [created] = await logs(jobs, 'JobCreated', { job }, at);
      if (created === undefined) return null;
      const block = await lastBlock(provider, at);
      const then = typedContract(jobsAbi, deployment.jobs, {
        provider,
        call: (request) => provider.call({ ...request, blockTag: block }),
      });
      const [, , latest, state] = await then.read.jobs(job);
      const closed = BigInt(await then.read.closings(job, latest)) !== 0n;
      const { args: event, ...anchor } = created;
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
        },
        phase: phaseOf(Number(state), closed),
        ...anchor,
      };
    },
    jobsOf: async (coordinator, at) =>
      (await logs(jobs, 'JobCreated', { coordinator }, at)).map(({ args }) => args.job),
    rounds: async (job, at) => {
      const closed = new Map((await closings({ job }, at)).map((closing) => [closing.round, closing]));
      const opened = await logs(jobs, 'RoundOpened', { job }, at);
      return opened.map(({ args, ...anchor }) => ({
        round: Number(args.round),
        openHash: args.openHash,
        closing: closed.get(Number(args.round)) ?? null,
        ...anchor,
      }));
    },
    closedVersion: async (versionId, at) => (await closings({ versionId }, at))[0] ?? null,
    disputeWindow: async () => Number(await jobs.read.window()),
    escrow: async (job) => {
      const [coordinator, , , state, , , budget, bond, released] = await jobs.read.jobs(job);
      const closed = await jobs.read.lastClosed(job);
      const phase = (['running', 'convicted', 'finished', 'refunded'] as const)[Number(state)] ?? 'running';
      return {
        coordinator: lowerCase(coordinator),
        budget,
        bond,
        released: Number(released),
        closed: Number(closed),
        phase,
      };
    },
    isFinal: (job, round) => jobs.read.isFinal(job, BigInt(round)),
    commitments: async (job, round) => ({
      opening: orNull(await jobs.read.openings(job, BigInt(round))),
      closing: orNull(await jobs.read.closings(job, BigInt(round))),
    }),
  };
}

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
