import { z } from 'zod';
import { hashJson } from './canonicalJson.js';
import type { Hash, Sha256Hex } from './hex.js';
import { jobSpec } from './jobSpec.js';
import { missingRunner, roundOpening, signingDomain, trainingClass } from './messages.js';
import {
  address,
  amount,
  archiveId,
  count,
  hash32,
  jobId,
  round,
  signature65,
  versionIdSchema,
} from './schema.js';
import { sealList } from './seal.js';
import { roundSeconds } from './views.js';

/** One committed update: the fields of its header (PROTOCOL 5) and what its runner signed (PROTOCOL 2). */
export const manifestHeader = z.strictObject({
  index: count,
  runner: address,
  updateRoot: hash32,
  dimension: count,
  samples: count,
  steps: count,
  weight: count,
  signature: signature65,
  /** Opens the runner's seal; only in rounds with seals. */
  salt: hash32.exactOptional(),
  training: trainingClass,
});
export type ManifestHeader = z.output<typeof manifestHeader>;

/** Bytes that a manifest may have: ten times one of 16,384 runners. */
export const largestManifest = 128 * 1024 * 1024;

const reward = z.strictObject({ runner: address, units: z.string().regex(/^\d{1,39}$/), amount });

const versionHashes = {
  versionId: versionIdSchema,
  graph: hash32,
  paramsRoot: hash32,
  stepsHash: hash32,
  stateRoot: hash32,
};

/** The signed-for record of one round: everything from which sum, step, version and rewards are recomputed. */
export const roundManifest = z.strictObject({
  hashed: z.strictObject({
    kind: z.literal('round'),
    protocol: z.literal(1),
    coordinator: address,
    domain: signingDomain,
    spec: jobSpec,
    opening: roundOpening,
    base: z.strictObject(versionHashes),
    version: z.strictObject(versionHashes),
    sumRoots: z
      .array(z.array(hash32))
      .describe('Sum root of every node of the aggregation tree, level by level.'),
    rootHeader: hash32,
    headers: z.array(manifestHeader),
    missing: z.array(missingRunner),
    /** Of jobs whose runners seal first: all seals of the round, and its coordinator's SealListStatement of them. */
    seals: z.strictObject({ list: sealList, signature: signature65 }).exactOptional(),
    rewards: z.strictObject({ budget: amount, shares: z.array(reward) }),
    /** SHA-256 of the plain parameter file, and where it is archived (encrypted if the spec names recipients). */
    model: z.strictObject({ sha256: hash32, archive: archiveId }),
    /** SHA-256 of the optimiser's state file and its archive id. */
    state: z.strictObject({ sha256: hash32, archive: archiveId }).nullable(),
    previousManifest: hash32,
  }),
  measured: z.strictObject({
    accuracy: z.number().nullable(),
    loss: z.number().nullable(),
    /** Older ones do not have it. */
    startedAt: z.iso.datetime().optional(),
    seconds: roundSeconds.partial(),
    runners: z.array(
      z.strictObject({
        runner: address,
        seconds: z.number(),
        bytes: count,
        loss: z.number(),
        saturated: count,
      }),
    ),
  }),
});
export type RoundManifest = z.output<typeof roundManifest>;

/** The record of the version a job starts from. */
export const genesisManifest = z.strictObject({
  hashed: z.strictObject({
    kind: z.literal('genesis'),
    protocol: z.literal(1),
    coordinator: address,
    domain: signingDomain,
    job: jobId,
    spec: jobSpec,
    specHash: hash32,
    parent: versionIdSchema.nullable(),
    version: z.strictObject(versionHashes),
    /** The ONNX graph without weights, archived once per job. */
    graph: z.strictObject({ sha256: hash32, archive: archiveId }),
    model: z.strictObject({ sha256: hash32, archive: archiveId }),
  }),
  measured: z.strictObject({
    accuracy: z.number().nullable(),
    loss: z.number().nullable(),
    /** What started the job, and when; older ones do not have it. */
    origin: z
      .strictObject({ trigger: z.string(), delivery: z.string().nullable(), createdAt: z.iso.datetime() })
      .optional(),
  }),
});
export type GenesisManifest = z.output<typeof genesisManifest>;

/** The record of one epoch of rewards of one payer: which rounds it pays, and every account's cumulative sum. */
export const epochManifest = z.strictObject({
  hashed: z.strictObject({
    kind: z.literal('epoch'),
    protocol: z.literal(1),
    payer: address,
    domain: signingDomain,
    epoch: z.number().int().min(1),
    previousManifest: hash32,
    root: hash32,
    total: amount,
    rounds: z.array(
      z.strictObject({
        job: jobId,
        round,
        manifestHash: hash32,
        manifest: archiveId,
        shares: z.array(reward),
      }),
    ),
    accounts: z.array(
      z.strictObject({ account: address, cumulative: amount, previous: amount, deltaRoot: hash32 }),
    ),
  }),
  measured: z.strictObject({}),
});
export type EpochManifest = z.output<typeof epochManifest>;

/** SHA-256 of the RFC 8785 JSON of the hashed part; seconds, bytes and float metrics stay outside. */
export function manifestHash(hash: Hash, manifest: { hashed: unknown }): Sha256Hex {
  return hashJson(hash, manifest.hashed);
}
