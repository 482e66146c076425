import { z } from 'zod';
import { dataShape } from './dataShape.js';
import { jobSpec } from './jobSpec.js';
import {
  address,
  archiveId,
  count,
  hash32,
  jobId,
  round,
  signature65,
  slug,
  versionIdSchema,
} from './schema.js';
import { signedSeal } from './seal.js';

/** What the parts say to each other: queue messages, activity inputs and answers. Tensors travel by hash only. */

/** The doorbell behind a job row: webhook and sweeper ring it, dispatch answers it. */
export const jobMessage = z.strictObject({ type: z.literal('job'), job: jobId });
export type JobMessage = z.output<typeof jobMessage>;

/** One runner's share of one final round, as the reward function credits it (exactly once per job, round, runner). */
export const creditMessage = z.strictObject({
  type: z.literal('credit'),
  payer: address,
  job: jobId,
  round,
  runner: address,
  units: z.string().regex(/^\d{1,39}$/),
  amount: z.string().regex(/^\d{1,39}$/),
  manifestHash: hash32,
});
export type CreditMessage = z.output<typeof creditMessage>;

/** What the runners of a round are credited with. */
export function creditsOf(
  { payer, job, round, manifestHash }: Pick<CreditMessage, 'payer' | 'job' | 'round' | 'manifestHash'>,
  shares: readonly Pick<CreditMessage, 'runner' | 'units' | 'amount'>[],
): CreditMessage[] {
  return shares.map(({ runner, units, amount }) => ({
    type: 'credit',
    payer,
    job,
    round,
    runner,
    units,
    amount,
    manifestHash,
  }));
}

/** A model version by its content: the graph (once per job) and the int32 parameter file. */
export const modelRef = z.strictObject({
  versionId: versionIdSchema,
  /** SHA-256 of the ONNX graph without weights. */
  graph: hash32,
  /** SHA-256 of the parameter file (safetensors of int32, with steps). */
  params: hash32,
  /** SHA-256 of the server optimiser's state file; null when there is none. */
  state: hash32.nullable(),
  paramsRoot: hash32,
  stepsHash: hash32,
  stateRoot: hash32,
});
export type ModelRef = z.output<typeof modelRef>;

/** What a round committed to when it opened. */
export const roundOpening = z.strictObject({
  job: jobId,
  round,
  baseVersion: versionIdSchema,
  specHash: hash32,
  openHash: hash32,
  shift: z.number().int().min(0).max(63),
  /** Ascending by runner. */
  selection: z.array(z.strictObject({ runner: address, maxSamples: count })),
});
export type RoundOpening = z.output<typeof roundOpening>;

/** Why a runner is not in a round. Codes are stable; `reason` is for people. */
export const missingCode = z.enum([
  'offline',
  'no-data',
  'not-registered',
  'suspended',
  'drained',
  'refused',
  'late',
  'lost',
  'failed',
  'rejected',
]);
export type MissingCode = z.output<typeof missingCode>;
export const missingRunner = z.strictObject({
  runner: address,
  code: missingCode,
  reason: z.string().max(1_000),
});
export type MissingRunner = z.output<typeof missingRunner>;

/** Where a coordinator's signature domain lies (EIP-712). */
export const signingDomain = z.strictObject({ chainId: z.number().int().positive(), jobs: address });

/** Where a runner stands in a round's selection, proved under the openHash (openHash.ts). */
export const selectionPlace = z.strictObject({
  index: count,
  count: z.number().int().min(1),
  proof: z.array(hash32).max(32),
});

/** The task that one runner gets for one round. It has the same size in a round of four and of thousands. */
export const trainTask = z.strictObject({
  protocol: z.literal(1, {
    error: ({ input }) =>
      `protocol ${String(input).slice(0, 20)}, but this runner speaks 1; the older of stack and runner must be upgraded`,
  }),
  coordinator: address,
  runner: address,
  domain: signingDomain,
  /** Of the selection the runner's own entry alone; `place` says where it stands. */
  opening: roundOpening,
  place: selectionPlace,
  model: modelRef,
  spec: jobSpec,
});
export type TrainTask = z.output<typeof trainTask>;

/** A round's seals: the artifact that holds their list (seal.ts), and its coordinator's SealListStatement. */
export const signedSealList = z.strictObject({ list: hash32, signature: signature65 });
export type SignedSealList = z.output<typeof signedSealList>;

/** The second task of a round whose runners seal first: the same round, and whose seals it has. */
export const revealTask = z.strictObject({ ...trainTask.shape, seals: signedSealList });
export type RevealTask = z.output<typeof revealTask>;

/** Runtime that produced an update: what repeats to the bit repeats only within one class (PROTOCOL 8). */
export const trainingClass = z.strictObject({
  onnxruntime: z.string().max(40),
  provider: z.string().max(40),
  cpu: z.string().max(40),
  threads: z.number().int().min(1).max(1_024),
});

export const trainAnswer = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('update'),
    runner: address,
    /** SHA-256 and bytes of the update file as it is uploaded: sealed for those that the spec names. */
    file: hash32,
    bytes: count,
    updateRoot: hash32,
    dimension: count,
    samples: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
    steps: count,
    saturated: count,
    signature: signature65,
    /** Opens the runner's seal; only where the round has seals. */
    salt: hash32.exactOptional(),
    training: trainingClass,
    loss: z.number(),
    seconds: z.number().min(0),
  }),
  /** The runner's policy or data does not allow the task: an answer, not a time-out. */
  z.strictObject({
    kind: z.literal('refused'),
    runner: address,
    code: z.string().max(60),
    reason: z.string().max(1_000),
  }),
  /** Where the job has runners seal first: the update exists, and stays where it is until the runner is asked to reveal it. */
  z.strictObject({ kind: z.literal('sealed'), ...signedSeal.shape }),
]);
export type TrainAnswer = z.output<typeof trainAnswer>;
export type TrainUpdate = Extract<TrainAnswer, { kind: 'update' }>;
export type TrainSeal = Extract<TrainAnswer, { kind: 'sealed' }>;

/** What was wrong at a runner: the first of its failure's details, which are encrypted as answers are. */
export interface RunnerFailure {
  message: string;
}

/** A chain transaction as rounds report it. */
export const transactionRecord = z.strictObject({
  purpose: z.string(),
  hash: hash32,
  gas: count,
  block: count,
});
export type TransactionRecord = z.output<typeof transactionRecord>;

/** What a data set a runner serves looks like to the coordinator (never the data). */
export const dataContract = z.strictObject({
  name: slug,
  samples: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  ...dataShape,
});
export type DataContract = z.output<typeof dataContract>;

/** A trigger as a member sets it up. The body of a webhook never carries any of this. */
export const triggerRequest = z.strictObject({
  name: slug,
  kind: z.enum(['github', 'standard']),
  /** GitHub: events and refs that start the job; others are acknowledged and ignored. */
  events: z.array(z.string().max(60)).max(20).default(['push']),
  refs: z.array(z.string().max(250)).max(20).default([]),
  spec: jobSpec,
});
export type TriggerRequest = z.output<typeof triggerRequest>;

/** A job submitted by a member; `key` makes repeating the submission harmless. */
export const submitRequest = z.strictObject({ key: z.string().min(8).max(100), spec: jobSpec });
export type SubmitRequest = z.output<typeof submitRequest>;

/** Goes on with a job that another member's stack began; the spec is the one that the chain has the hash of. */
export const takeOverRequest = z.strictObject({ spec: jobSpec });
export type TakeOverRequest = z.output<typeof takeOverRequest>;

/** Archive ids of a round's two documents. */
export const archiveRefs = z.strictObject({ model: archiveId, manifest: archiveId, manifestHash: hash32 });
export type ArchiveRefs = z.output<typeof archiveRefs>;
