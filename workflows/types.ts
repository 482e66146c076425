import type { JobSpec } from '#core/jobSpec.js';
import type {
  ArchiveRefs,
  MissingRunner,
  ModelRef,
  RoundOpening,
  SignedSealList,
  TrainSeal,
  TrainUpdate,
  TransactionRecord,
} from '#core/messages.js';
import type { SelectionPlace } from '#core/openHash.js';
import type { JobView, RoundSeconds, RoundView } from '#core/views.js';
import type { ChainCall } from '#contracts/typed.js';
import type { EpochQuestion } from '#audit/epochQuestions.js';
import type { RoundQuestion } from '#audit/questions.js';

/** What workflows and their activities say to each other. References only: tensors never enter a history. */

export type Hex = `0x${string}`;

export interface JobInput {
  job: Hex;
  /** Set when the workflow continued as new between two rounds. */
  progress?: JobProgress;
}

/** Everything a job carries from round to round. */
export interface JobProgress {
  seq: number;
  prepared: PreparedJob;
  /** Rounds finished. */
  round: number;
  version: ModelRef;
  accuracy: number | null;
  loss: number | null;
  archive: ArchiveRefs;
  transactions: TransactionRecord[];
  paused: boolean;
}

/** A job whose spec was checked and whose version 0 exists and is archived. */
export interface PreparedJob {
  job: Hex;
  spec: JobSpec;
  specHash: Hex;
  coordinator: Hex;
  domain: { chainId: number; jobs: Hex };
  view: Pick<JobView, 'trigger' | 'delivery' | 'createdAt'>;
  parent: Hex | null;
  base: ModelRef;
  /** Length D of the parameter vector. */
  dimension: number;
  /** Functions among which the sum of a round is cut; 1: the worker adds by itself. */
  shards: number;
  baseNumber: number;
  graphArchive: string;
  archive: ArchiveRefs;
  accuracy: number | null;
  loss: number | null;
  /** Where another coordinator's job is gone on with; not there for a job of one's own. */
  takenOver?: TakenOver;
}

/** The newest round that stands of a job that is taken over; 0 with the job's own start. */
export interface TakenOver {
  round: number;
  version: ModelRef;
  accuracy: number | null;
  loss: number | null;
  archive: ArchiveRefs;
}

export interface RoundInput {
  prepared: PreparedJob;
  round: number;
  base: ModelRef;
  previousManifest: Hex;
}

export interface RoundResult {
  version: ModelRef;
  accuracy: number | null;
  loss: number | null;
  archive: ArchiveRefs;
  transactions: TransactionRecord[];
}

export interface Selection {
  opening: RoundOpening;
  missing: MissingRunner[];
  /** Updates the round needs, with `all` resolved. */
  quorum: number;
  /** Bytes of update and trainer time vary; the job's deadline bounds both. */
  ready: boolean;
}

export interface AggregateInput {
  prepared: PreparedJob;
  opening: RoundOpening;
  base: ModelRef;
  /** Admitted updates, ascending by runner. */
  updates: TrainUpdate[];
}

export interface AdmitInput {
  prepared: PreparedJob;
  opening: RoundOpening;
  update: TrainUpdate;
  /** What its runner had sealed, where the job's runners seal first. */
  seal?: Hex;
}

/** Updates that a round has for good, whatever becomes of it. */
export type ReceiptsInput = Pick<AggregateInput, 'opening' | 'updates'>;

/** One range of a sum, which a function adds. */
export interface ShardInput {
  prepared: Pick<PreparedJob, 'job' | 'spec'>;
  round: number;
  /** Name of its plan (services/sums.ts). */
  plan: Hex;
}

export interface JoinInput extends AggregateInput {
  /** Names of the parts, in the order of the ranges. */
  parts: Hex[];
}

export interface Aggregate {
  version: ModelRef;
  /** Sum root of every node of the aggregation tree, level by level from the bottom. */
  sumRoots: Hex[][];
  rootHeader: Hex;
  weights: number[];
}

export interface ArchiveRoundInput extends AggregateInput {
  /** Where the job's runners seal first. */
  seals?: SignedSealList;
  previousManifest: Hex;
  aggregate: Aggregate;
  model: ArchivedModel;
  missing: MissingRunner[];
  accuracy: number | null;
  loss: number | null;
  /** Rounds that began under an older version do not say it. */
  startedAt?: string;
  seconds: Partial<RoundSeconds>;
}

export interface ArchivedModel {
  model: string;
  state: string | null;
}

export interface Evaluation {
  accuracy: number | null;
  loss: number | null;
}

export interface CloseInput {
  prepared: PreparedJob;
  round: number;
  rootHeader: Hex;
  version: ModelRef;
  archive: ArchiveRefs;
  /** Where the job asks for them: signatures by their places in the draw, ascending. */
  attestations?: PlacedAttestation[];
}

/** A drawn member's signature of a closing. */
export interface PlacedAttestation {
  place: number;
  signature: Hex;
}

export interface Attested {
  /** Signatures that the contract demands. */
  needed: number;
  /** At most as many, ascending by place. */
  given: PlacedAttestation[];
  /** Drawn members from which nothing came. */
  silent: Hex[];
}

export interface FinishRoundInput {
  prepared: PreparedJob;
  round: number;
  base: ModelRef;
  version: ModelRef;
  accuracy: number | null;
  archive: ArchiveRefs;
  shares: RewardShare[];
}

/** What one runner earned in one round. */
export interface RewardShare {
  runner: Hex;
  units: string;
  amount: string;
}

export interface ArchivedRound {
  archive: ArchiveRefs;
  shares: RewardShare[];
}

/** Some of a round's runners: those of the selection from one index up to another. */
export interface RunnerGroup {
  opening: RoundOpening;
  from: number;
  to: number;
}

/** A question on chain that this stack has to answer, or its bond is slashed. */
export interface AnswerInput {
  coordinator: Hex;
  question: RoundQuestion | EpochQuestion;
}

/** Activities of the coordinator's own queue. */
export interface CoordinatorActivities {
  prepareJob(input: { job: Hex }): Promise<PreparedJob>;
  selectRunners(input: RoundInput): Promise<Selection>;
  findPlaces(group: RunnerGroup): Promise<SelectionPlace[]>;
  /** Where the job's runners seal first. */
  admitSeal(input: { prepared: PreparedJob; opening: RoundOpening; seal: TrainSeal }): Promise<void>;
  /** Of all seals that a round has, ascending by runner; signed for an opening once. */
  signSeals(input: { opening: RoundOpening; seals: TrainSeal[] }): Promise<SignedSealList>;
  admitUpdate(input: AdmitInput): Promise<void>;
  /** For a round that does not come about; where it does, adding its updates signs for them. */
  signReceipts(input: ReceiptsInput): Promise<void>;
  aggregate(input: AggregateInput): Promise<Aggregate>;
  planSum(input: AggregateInput): Promise<Hex[]>;
  sumShard(input: ShardInput): Promise<Hex>;
  joinSum(input: JoinInput): Promise<Aggregate>;
  evaluate(input: { prepared: PreparedJob; version: ModelRef }): Promise<Evaluation>;
  archiveModel(input: { prepared: PreparedJob; round: number; version: ModelRef }): Promise<ArchivedModel>;
  archiveRound(input: ArchiveRoundInput): Promise<ArchivedRound>;
  proposeClosing(input: CloseInput): Promise<void>;
  /** @param input seconds: to wait at most */
  awaitAttestations(input: CloseInput & { seconds: number }): Promise<Attested>;
  withdrawProposal(input: { job: Hex; round: number }): Promise<void>;
  finishRound(input: FinishRoundInput): Promise<void>;
  projectJob(view: JobView): Promise<void>;
  projectRound(view: RoundView): Promise<void>;
  failQueuedJob(input: { job: Hex; code: string; message: string }): Promise<void>;
  forgetUpdates(input: { job: Hex }): Promise<Retention>;
  /** 'unreleased': budgets have to be released before it is settled who owes their rounds. */
  planEpoch(input: { payer: Hex; epoch: number }): Promise<EpochPlan | 'unreleased' | null>;
  finishEpoch(input: { plan: EpochPlan; transaction: TransactionRecord; effective: boolean }): Promise<void>;
  /** Null where no answer is due any more. */
  findAnswer(input: AnswerInput): Promise<ChainCall | null>;
}

/** Activities of the queue that one signing key has for itself. */
export interface ChainActivities {
  createJob(input: { prepared: PreparedJob }): Promise<TransactionRecord[]>;
  openRound(input: { job: Hex; round: number; openHash: Hex }): Promise<TransactionRecord>;
  /** Sees to it that the draw of the newest opening stays known, however long its round takes. */
  keepDraw(input: { job: Hex; round: number }): Promise<TransactionRecord>;
  closeRound(input: CloseInput): Promise<TransactionRecord>;
  /** Null for a job that is not this key's to finish any more: its coordinator was convicted, or another took it over. */
  finishJob(input: { job: Hex }): Promise<TransactionRecord | null>;
  /** Budgets that can be paid out go into the payer's purse, so that it is settled who owes which round. */
  releaseBudgets(input: { payer: Hex }): Promise<void>;
  /** Null where somebody else has answered, or nobody waits any more. */
  sendAnswer(input: AnswerInput & { call: ChainCall }): Promise<TransactionRecord | null>;
  publishEpoch(input: { plan: EpochPlan }): Promise<TransactionRecord>;
}

/** How it stands with the updates that a job has left. */
export interface Retention {
  /** Nothing is stored any more, and nothing can come. */
  over: boolean;
  waitSeconds: number;
}

export interface SettlementInput {
  payer: Hex;
  epoch: number;
}

/** An epoch as recomputed from the manifests of final rounds. */
export interface EpochPlan {
  payer: Hex;
  epoch: number;
  root: Hex;
  leaves: number;
  total: string;
  manifestHash: Hex;
  archive: string;
  /** SHA-256 of the epoch file in the artifacts. */
  file: Hex;
  jobs: Hex[];
  windowSeconds: number;
}
