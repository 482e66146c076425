import { z } from 'zod';
import { jobSpec } from './jobSpec.js';
import { archiveRefs, dataContract, missingRunner, modelRef, transactionRecord } from './messages.js';
import { seenRequest, suspension } from './entryMessages.js';
import { address, amount, archiveId, count, hash32, jobId, round, slug, versionIdSchema } from './schema.js';

/**
 * Projections in the table: what API, command line and web read. Their owner (a workflow, the API) writes them
 * with a rising `seq`; a write with an older one is dropped. Times are ISO 8601 in UTC.
 */
const projected = { seq: count, updatedAt: z.iso.datetime() };

export const jobState = z.enum(['queued', 'running', 'paused', 'done', 'cancelled', 'failed']);
export type JobState = z.output<typeof jobState>;
export const finalJobStates: readonly JobState[] = ['done', 'cancelled', 'failed'];

export const problem = z.strictObject({ code: z.string(), message: z.string() });
export type Problem = z.output<typeof problem>;

export const jobView = z.strictObject({
  ...projected,
  job: jobId,
  state: jobState,
  /** `submit` for a person's job, `take over` for another coordinator's, else the trigger's name. */
  trigger: z.string(),
  /** The webhook's delivery, for people; not covered by GitHub's signature. */
  delivery: z.string().nullable(),
  createdAt: z.iso.datetime(),
  spec: jobSpec,
  coordinator: address,
  /** Rounds finished. */
  round: z.number().int().min(0),
  base: modelRef.nullable(),
  version: modelRef.nullable(),
  /** Number of the base version in its lineage: the first of a lineage is 0, each round adds one. */
  baseNumber: count,
  accuracy: z.number().nullable(),
  loss: z.number().nullable(),
  archive: archiveRefs.nullable(),
  transactions: z.array(transactionRecord),
  /** Epoch in which its last rounds were settled. */
  settledEpoch: z.number().int().nullable(),
  problem: problem.nullable(),
});
export type JobView = z.output<typeof jobView>;

export const roundPhase = z.enum([
  'selecting',
  'collecting',
  'aggregating',
  'evaluating',
  'archiving',
  'anchoring',
  'done',
  'failed',
]);
export type RoundPhase = z.output<typeof roundPhase>;

export const participantView = z.strictObject({
  runner: address,
  state: z.enum(['asked', 'done', 'missing']),
  samples: count.nullable(),
  loss: z.number().nullable(),
  seconds: z.number().nullable(),
  bytes: count.nullable(),
});
export type ParticipantView = z.output<typeof participantView>;

export const roundSeconds = z.strictObject({
  select: z.number(),
  collect: z.number(),
  aggregate: z.number(),
  evaluate: z.number(),
  archive: z.number(),
  anchor: z.number(),
  total: z.number(),
});
export type RoundSeconds = z.output<typeof roundSeconds>;

export const roundView = z.strictObject({
  ...projected,
  job: jobId,
  round,
  phase: roundPhase,
  startedAt: z.iso.datetime(),
  participants: z.array(participantView),
  missing: z.array(missingRunner),
  accuracy: z.number().nullable(),
  loss: z.number().nullable(),
  seconds: roundSeconds.partial(),
  openHash: hash32.nullable(),
  version: modelRef.nullable(),
  rootHeader: hash32.nullable(),
  archive: archiveRefs.nullable(),
  transactions: z.array(transactionRecord),
  problem: problem.nullable(),
});
export type RoundView = z.output<typeof roundView>;

/** A version in the lineage: version 0 of a job or the result of one round. */
export const versionView = z.strictObject({
  ...projected,
  lineage: slug,
  number: count,
  model: modelRef,
  parent: versionIdSchema.nullable(),
  job: jobId,
  /** 0 for the version a job starts from. */
  round: z.number().int().min(0),
  accuracy: z.number().nullable(),
  archive: archiveRefs,
});
export type VersionView = z.output<typeof versionView>;

export const runnerView = z.strictObject({
  ...projected,
  runner: address,
  name: slug,
  member: address,
  software: z.string(),
  machine: z.string(),
  data: z.array(dataContract),
  enrolledAt: z.iso.datetime(),
  lastSeen: z.iso.datetime(),
  /** It has a connection to the stack's gatekeeper, as of `lastSeen`. */
  connected: z.boolean(),
  state: seenRequest.shape.state,
  progress: seenRequest.shape.progress,
  /** While it is let in nowhere: why, and since when. */
  suspension: suspension.nullable(),
  /** While it gets no new rounds here by its owner's or the stack's wish: whose, and since when. */
  drain: suspension.nullable(),
});
export type RunnerView = z.output<typeof runnerView>;

/** A message that could not be processed. */
export const deadLetterView = z.strictObject({
  id: z.string(),
  /** When it was laid aside. */
  since: z.iso.datetime(),
  /** The message, cut after 1,000 characters. */
  message: z.string(),
  /** Null: nobody counted. */
  deliveries: count.nullable(),
  /** An error code; null when the function could not say why. */
  code: z.string().nullable(),
  reason: z.string(),
});
export type DeadLetterView = z.output<typeof deadLetterView>;

export const queueView = z.strictObject({
  queue: z.enum(['jobs', 'credits']),
  /** Messages that wait or are in work; SQS counts approximately. */
  waiting: count,
  dead: count,
  /** Some of the dead ones, oldest first. */
  letters: z.array(deadLetterView),
});
export type QueueView = z.output<typeof queueView>;

/** A trigger without its secrets: those never leave the table. */
export const triggerView = z.strictObject({
  ...projected,
  name: slug,
  kind: z.enum(['github', 'standard']),
  events: z.array(z.string()),
  refs: z.array(z.string()),
  spec: jobSpec,
  createdAt: z.iso.datetime(),
  /** How many secrets are valid now (two during rotation). */
  secrets: count,
});
export type TriggerView = z.output<typeof triggerView>;

export const epochView = z.strictObject({
  ...projected,
  payer: address,
  epoch: z.number().int().min(1),
  state: z.enum(['planned', 'published', 'effective']),
  root: hash32,
  total: amount,
  leaves: count,
  manifestHash: hash32,
  archive: archiveId,
  /** SHA-256 of the epoch file in the artifacts. */
  file: hash32,
  transaction: transactionRecord.nullable(),
});
export type EpochView = z.output<typeof epochView>;

/** What a runner was credited by a payer over all rounds, paid out or not. */
export const earningView = z.strictObject({
  payer: address,
  runner: address,
  amount,
  /** Rounds that it was credited for. */
  credits: count,
});
export type EarningView = z.output<typeof earningView>;
