import type { Address, Deployment } from '#contracts/deployment.js';
import { consortiumAbi } from '#contracts/generated/Consortium.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { leafJudgeAbi } from '#contracts/generated/LeafJudge.js';
import { receiptJudgeAbi } from '#contracts/generated/ReceiptJudge.js';
import { rewardJudgeAbi } from '#contracts/generated/RewardJudge.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import { robustJudgeAbi } from '#contracts/generated/RobustJudge.js';
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { sumJudgeAbi } from '#contracts/generated/SumJudge.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import { toHex, ZERO_HASH, type Hex, type JobId, type Sha256Hex, type VersionId } from '#core/hex.js';
import type { ProvenRewardLeaf, RewardLeaf } from '#core/rewards.js';
import { archiveIdToBytes32 } from './archiveId.js';
import type { JobTerms } from './chain/terms.js';

/** budget and bond in token units; archiveId is the genesis manifest's; parentVersion null for a new model. */
export interface JobCreation {
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
  bond: bigint;
}

/** archiveId is the round's manifest's. */
export interface RoundClosing {
  job: JobId;
  round: number;
  rootHeader: Sha256Hex;
  paramsRoot: Sha256Hex;
  versionId: VersionId;
  manifestHash: Sha256Hex;
  archiveId: string;
}

/** What a closing says besides which round it is of. */
export type ClosedFields = Omit<RoundClosing, 'job' | 'round'>;

/**
 * Encoded calls of the contracts, with their fields by name. Each is `{ to, data }` for a Sender.
 * Archive ids are written as Arweave writes them (INVALID_INPUT for anything else).
 */
export function chainCalls(deployment: Deployment) {
  const token = typedContract(tokenAbi, deployment.token).call;
  const consortium = typedContract(consortiumAbi, deployment.consortium).call;
  const jobs = typedContract(jobsAbi, deployment.jobs).call;
  const rewards = typedContract(rewardsAbi, deployment.rewards).call;
  const judges = {
    sums: typedContract(sumJudgeAbi, deployment.judges.sums).call,
    leaves: typedContract(leafJudgeAbi, deployment.judges.leaves).call,
    data: typedContract(dataJudgeAbi, deployment.judges.data).call,
    rewards: typedContract(rewardJudgeAbi, deployment.judges.rewards).call,
    receipts: typedContract(receiptJudgeAbi, deployment.judges.receipts).call,
    seals: typedContract(sealJudgeAbi, deployment.judges.seals).call,
    robust: typedContract(robustJudgeAbi, deployment.judges.robust).call,
  };

  return {
    token: {
      approve: (spender: Address, amount: bigint) => token.approve(spender, amount),
      transfer: (to: Address, amount: bigint) => token.transfer(to, amount),
    },
    consortium: {
      /** By the founder. */
      addMember: (member: Address, name: string, url: string) => consortium.addMember(member, name, url),
      /** By members, until more than half of them have voted for the same. */
      voteMember: (member: Address, name: string, url: string) => consortium.voteMember(member, name, url),
      voteRemoval: (member: Address) => consortium.voteRemoval(member),
      /** A pause stops new jobs and nothing else. */
      votePause: (pause: boolean) => consortium.votePause(pause),
      /** The Jobs contract of the deployment that members go on with. */
      voteSuccessor: (jobs: Address) => consortium.voteSuccessor(jobs),
      /** By a member, about itself. */
      describe: (name: string, url: string) => consortium.describe(name, url),
      /** By a member, about itself: the X25519 key that is sealed for. */
      announceKey: (publicKey: Hex) => consortium.announceKey(publicKey),
      /** By the runner; the consortium needs its allowance of the stake first. */
      register: (member: Address, stake: bigint) => consortium.register(member, stake),
      /** By the runner, about itself: its certificate and the data contracts it serves. */
      serve: (tlsFingerprint: Sha256Hex, data: readonly string[]) => consortium.serve(tlsFingerprint, data),
      exit: () => consortium.exit(),
      withdraw: () => consortium.withdraw(),
    },
    jobs: {
      /** By the coordinator; Jobs needs its allowance of budget and bond first. */
      create: (creation: JobCreation) => jobs.create(creationInput(creation), creation.bond),
      open: (job: JobId, round: number, openHash: Sha256Hex) => jobs.open(job, BigInt(round), openHash),
      close: (closing: RoundClosing) => jobs.close(...closingInputs(closing)),
      /** Closes a round and opens the next with `nextOpenHash`. */
      closeAndOpen: (closing: RoundClosing, nextOpenHash: Sha256Hex) =>
        jobs.closeAndOpen(...closingInputs(closing), nextOpenHash),
      /** With the signatures of drawn members, by their places in the draw; `nextOpenHash` null opens no further round. */
      closeAttested: (
        opening: Hex,
        closing: RoundClosing,
        attestations: readonly { place: number; signature: Hex }[],
        nextOpenHash: Sha256Hex | null,
      ) =>
        jobs.closeAttested(
          closing.job,
          BigInt(closing.round),
          closingInput(opening, closing),
          attestations.map(({ place }) => BigInt(place)),
          attestations.map(({ signature }) => signature),
          nextOpenHash ?? ZERO_HASH,
        ),
      /** By anyone: keeps the seed of the newest opening's draw. */
      draw: (job: JobId) => jobs.draw(job),
      finish: (job: JobId) => jobs.finish(job),
      /** By anyone: budgets of final rounds up to this one go into their coordinator's purse. */
      release: (job: JobId, round: number) => jobs.release(job, BigInt(round)),
      /** By anyone, when a finished job's rounds are all final: ends its accounts. */
      refund: (job: JobId) => jobs.refund(job),
      /** By another member; Jobs needs its allowance of the bond first. */
      takeOver: (job: JobId, bond: bigint) => jobs.takeOver(job, bond),
    },
    rewards: {
      /** By anyone; Rewards needs its allowance of the amount first. */
      fund: (payer: Address, amount: bigint) => rewards.fund(payer, amount),
      /** By the payer; Rewards needs its allowance of the amount first. */
      raiseBond: (amount: bigint) => rewards.raiseBond(amount),
      /** By the payer. */
      publish: (epoch: number, root: Sha256Hex, leaves: number, total: bigint, manifestHash: Sha256Hex) =>
        rewards.publish(BigInt(epoch), root, BigInt(leaves), total, manifestHash),
      /** By anyone; the leaf's account is paid. The leaf comes from epochTree (core/rewards.ts). */
      claim: (payer: Address, epoch: number, leaf: ProvenRewardLeaf) =>
        rewards.claim(payer, BigInt(epoch), leafInput(leaf), leaf.proof.map(toHex)),
      claimMany: (payer: Address, epoch: number, leaves: readonly ProvenRewardLeaf[]) =>
        rewards.claimMany(
          payer,
          BigInt(epoch),
          leaves.map(leafInput),
          leaves.map(({ proof }) => proof.map(toHex)),
        ),
    },
    judges,
  };
}

/** A job's creation as the contract takes it and commits to it. */
export function creationInput(creation: Omit<JobCreation, 'bond'>) {
  const { job, coordinator, specHash, parentVersion, genesisVersion, manifestHash, terms } = creation;
  return {
    job,
    coordinator,
    specHash,
    parentVersion: parentVersion ?? ZERO_HASH,
    genesisVersion,
    manifestHash,
    arweaveId: archiveIdToBytes32(creation.archiveId),
    rounds: BigInt(creation.rounds),
    budget: creation.budget,
    terms: {
      dimension: BigInt(terms.dimension),
      rule: BigInt(terms.rule),
      rateNumerator: BigInt(terms.rate.numerator),
      rateDenominator: BigInt(terms.rate.denominator),
      momentumNumerator: BigInt(terms.momentum.numerator),
      momentumDenominator: BigInt(terms.momentum.denominator),
      attesters: BigInt(terms.attesters),
      sampleCap: BigInt(terms.sampleCap),
    },
  };
}

/** A closing as the contracts hash it. @param opening word of the opening that it closes */
export function closingInput(opening: Hex, fields: ClosedFields) {
  const { rootHeader, paramsRoot, versionId, manifestHash, archiveId } = fields;
  return {
    opening,
    rootHeader,
    paramsRoot,
    versionId,
    manifestHash,
    arweaveId: archiveIdToBytes32(archiveId),
  };
}

function closingInputs(closing: RoundClosing) {
  return [
    closing.job,
    BigInt(closing.round),
    closing.rootHeader,
    closing.paramsRoot,
    closing.versionId,
    closing.manifestHash,
    archiveIdToBytes32(closing.archiveId),
  ] as const;
}

function leafInput({ index, account, cumulative, previous, totalPrefix, deltaRoot }: RewardLeaf) {
  return { index: BigInt(index), account, cumulative, previous, totalPrefix, deltaRoot: toHex(deltaRoot) };
}
