import { z } from 'zod';
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
  protocol: z.literal(1),
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
]);
export type TrainAnswer = z.output<typeof trainAnswer>;
export type TrainUpdate = Extract<TrainAnswer, { kind: 'update' }>;

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
  input: z.array(z.number().int().min(1)).min(1).max(8),
  classes: z.number().int().min(2).max(1_000_000),
});
export type DataContract = z.output<typeof dataContract>;

/** An X.509 certificate in PEM. */
const certificate = z
  .string()
  .max(4_096)
  .regex(
    /^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----\n?$/,
    'a certificate in PEM',
  );

export const enrolmentStatement = z.strictObject({
  stack: address,
  runner: address,
  tlsFingerprint: hash32,
  sealingKey: hash32,
  expiry: count,
  nonce: count,
});

/** What a runner tells of itself. */
export const introduction = z.strictObject({
  name: slug,
  software: z.string().max(80),
  machine: z.string().max(200),
  data: z.array(dataContract).max(64),
});
export type Introduction = z.output<typeof introduction>;

/** A runner's certificate, as it signed for it; see EnrolmentStatement in eip712.ts. */
export const stackEntry = z.strictObject({
  statement: enrolmentStatement,
  certificate,
  signature: signature65,
});
export type StackEntry = z.output<typeof stackEntry>;

/** A runner introduces itself to a stack and names its certificate; the request carries its signature. */
export const enrolRequest = z.strictObject({ ...introduction.shape, entry: stackEntry });
export type EnrolRequest = z.output<typeof enrolRequest>;
/** No certificate of a runner is good for longer. */
export const longestEntrySeconds = 48 * 3_600;

/** A member's signed word where its stack is entered; see stackTypes in eip712.ts. */
export const stackEntrance = z.strictObject({
  statement: z.strictObject({
    stack: address,
    gatekeeper: z.string().regex(/^[A-Za-z0-9.[\]:-]{1,255}:\d{1,5}$/, 'host:port'),
    namespace: z.string().min(1).max(255),
    tlsFingerprints: z.array(hash32).min(1).max(4),
    sealingKey: hash32,
    expiry: count,
  }),
  /** In the order of the fingerprints. */
  certificates: z.array(certificate).min(1).max(4),
  signature: signature65,
});
export type StackEntrance = z.output<typeof stackEntrance>;

/** What an enrolled runner learns: the member that it belongs to on chain, and where to take tasks. */
export const enrolAnswer = z.strictObject({ member: address, entrance: stackEntrance });
export type EnrolAnswer = z.output<typeof enrolAnswer>;

/** Why and by whom a runner is kept out of a stack. */
export const suspension = z.strictObject({
  by: address,
  reason: z.string().max(1_000),
  at: z.iso.datetime(),
});
export type Suspension = z.output<typeof suspension>;
export const suspendRequest = z.strictObject({ reason: z.string().trim().min(1).max(1_000) });

/** A runner says of certificates of its own that they shall count no longer. */
export const revokeRequest = z.strictObject({ fingerprints: z.array(hash32).min(1).max(256) });
export type RevokeRequest = z.output<typeof revokeRequest>;
export const revokeAnswer = z.strictObject({
  /** Those that counted until now; the others are unknown here, have expired, or are another runner's. */
  revoked: z.array(hash32),
});

/** A runner tells what it is doing, whenever that changes and as training goes on. */
export const seenRequest = z.strictObject({
  state: z.enum(['idle', 'training', 'leaving']),
  progress: z
    .strictObject({ job: jobId, round, step: count, steps: count, loss: z.number().nullable() })
    .nullable(),
});
export type SeenRequest = z.output<typeof seenRequest>;
/**
 * Seconds between the signs of life that a gatekeeper writes of a runner that is connected, and after which silence
 * counts as offline: two signs may be lost, and a gatekeeper may start again in between. A connection that ends is
 * noticed at once.
 */
export const seenEverySeconds = 15;
export const offlineAfterSeconds = 40;

/** Bytes of every part of an upload but the last; what is not larger goes in one piece. */
export const uploadPartBytes = 8 * 1024 ** 2;

/** A runner or member wants to store bytes: the URLs it gets are bound to exactly these. */
export const uploadRequest = z.strictObject({
  sha256: hash32,
  size: z
    .number()
    .int()
    .min(0)
    .max(5 * 1024 ** 3),
  /** For a runner's update of a round; other bytes are artifacts. */
  update: z.strictObject({ job: jobId, round }).optional(),
});
export type UploadRequest = z.output<typeof uploadRequest>;

/** S3's name of an upload in parts. */
const uploadId = z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,1023}$/, 'the name of an upload');
const partNumber = z.number().int().min(1).max(10_000);

/** `upload` names one that was begun before and is to go on. */
export const beginUpload = uploadRequest.extend({ upload: uploadId.optional() });
export type BeginUpload = z.output<typeof beginUpload>;
export const uploadAnswer = z.strictObject({
  /** For bytes in one piece. When `upload` is null too, they are stored already. */
  url: z.string().nullable(),
  headers: z.record(z.string(), z.string()),
  /** For bytes in parts, with those that have arrived. */
  upload: z
    .strictObject({
      id: uploadId,
      parts: z.array(z.strictObject({ number: partNumber, sha256: hash32.nullable() })),
    })
    .nullable(),
});
export type UploadAnswer = z.output<typeof uploadAnswer>;

export const partsRequest = uploadRequest.extend({
  upload: uploadId,
  parts: z
    .array(z.strictObject({ number: partNumber, sha256: hash32 }))
    .min(1)
    .max(16),
});
export type PartsRequest = z.output<typeof partsRequest>;
export const signedParts = z.strictObject({
  parts: z.array(
    z.strictObject({ number: partNumber, url: z.string(), headers: z.record(z.string(), z.string()) }),
  ),
});
export type SignedParts = z.output<typeof signedParts>;

export const completeUpload = uploadRequest.extend({ upload: uploadId });
export type CompleteUpload = z.output<typeof completeUpload>;

/** A round's updates for a member: sealed, each with a URL that serves it for a quarter of an hour. */
export const storedUpdates = z.strictObject({
  items: z.array(z.strictObject({ runner: address, file: hash32, size: count, url: z.string() })),
});

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

/** Archive ids of a round's two documents. */
export const archiveRefs = z.strictObject({ model: archiveId, manifest: archiveId, manifestHash: hash32 });
export type ArchiveRefs = z.output<typeof archiveRefs>;
