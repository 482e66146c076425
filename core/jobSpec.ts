import { z } from 'zod';
import { dataShape } from './dataShape.js';
import { nonsense } from './robust.js';
import { robustRule } from './robustRule.js';
import { address, amount, hash32, slug } from './schema.js';
import { trainingSpec } from './trainingSpec.js';

/** A server rate or momentum as an exact fraction (PROTOCOL: the step is integer arithmetic). */
const fraction = z.strictObject({
  numerator: z.number().int().min(0).max(1_000_000),
  denominator: z.number().int().min(1).max(1_000_000),
});

/** Written `1/2`, `1` or `0.9` by a person; kept as a fraction. */
const writtenFraction = z.union([z.string(), z.number()]).transform((written, context) => {
  const parsed = parseFraction(String(written));
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: 'a fraction such as 1/2, 1 or 0.9' });
  return z.NEVER;
});

/** What a runner must bring: the named data set, with samples of this shape. */
const dataRequirement = z.strictObject({
  contract: slug.describe('Name of the data set that runners must serve.'),
  ...dataShape,
  purpose: slug
    .optional()
    .describe('What the model is for, in a word that the members agreed on; owners allow data by purpose.'),
  mostSamples: z
    .number()
    .int()
    .min(1)
    .max(2 ** 48 - 1)
    .exactOptional()
    .describe(
      'Samples of this data set that a runner may claim at most; one that has more claims so many, and weighs as much. The chain holds the cap, and whoever claims more is unfit.',
    ),
});

/** Samples that a runner claims of a data set: weights and rewards go by them. */
export function claimedSamples(
  { mostSamples }: Pick<JobSpec['data'], 'mostSamples'>,
  samples: number,
): number {
  return Math.min(samples, mostSamples ?? samples);
}

const robust = robustRule
  .optional()
  .describe('What the step is made from in place of the weighted mean of the updates.');

const aggregation = z.discriminatedUnion('rule', [
  z.strictObject({ rule: z.literal('fedavg'), rate: fraction, robust }),
  z.strictObject({ rule: z.literal('fedavgm'), rate: fraction, momentum: fraction, robust }),
]);

const writtenAggregation = z.discriminatedUnion('rule', [
  z.strictObject({ rule: z.literal('fedavg'), rate: writtenFraction.prefault('1'), robust }),
  z.strictObject({
    rule: z.literal('fedavgm'),
    rate: writtenFraction.prefault('1'),
    momentum: writtenFraction.prefault('0.9'),
    robust,
  }),
]);

const participants = z.strictObject({
  quorum: z
    .union([z.number().int().min(1), z.literal('all')])
    .describe('Updates a round needs; `all`: every runner that serves the data, waiting for the absent.'),
  most: z
    .number()
    .int()
    .min(1)
    .max(16_384)
    .default(64)
    .describe('At most so many runners are asked a round.'),
  graceFactor: z
    .number()
    .min(1)
    .max(100)
    .default(2)
    .describe('After the quorum a slow runner has until this many times the median duration.'),
  deadlineSeconds: z.number().min(1).max(604_800).default(120).describe('A round never waits longer.'),
  allowSaturated: z.number().int().min(0).default(0).describe('Saturated values an update may have.'),
});

const rewards = z.strictObject({
  budget: amount.describe("The job's budget in the token's smallest unit."),
  rule: z.literal('samples').default('samples'),
});

const common = {
  version: z.literal(1),
  name: slug.describe('The job and the lineage it trains on.'),
  data: dataRequirement,
  rounds: z.number().int().min(1).max(100_000),
  start: z
    .enum(['model', 'latest'])
    .default('latest')
    .describe('`latest` goes on from the newest version of this name, `model` starts anew.'),
};

/** As many as contracts/Attestations.sol takes (MOST_ATTESTERS). */
const mostAttesters = 8;

/** A member that something is sealed for, and its X25519 public key. */
const recipient = z.strictObject({ member: address, publicKey: hash32 });
export type Recipient = z.output<typeof recipient>;

/**
 * A job as it is hashed, signed for and run: files have become content hashes.
 * Canonical JSON of it under SHA-256 is the spec hash.
 */
export const jobSpec = z
  .strictObject({
    ...common,
    /** Drawn members that must sign a closing; not there for none. */
    attesters: z.number().int().min(1).max(mostAttesters).exactOptional(),
    /** Runners seal their updates before any of them shows its own (seal.ts); not there where they do not. */
    sealFirst: z.literal(true).exactOptional(),
    model: z.strictObject({ sha256: hash32 }),
    evaluation: z.strictObject({ sha256: hash32 }).nullable(),
    training: trainingSpec,
    aggregation,
    participants,
    rewards,
    /** Null: archived in the clear. Else the members that can open the models, with their X25519 public keys. */
    archive: z.strictObject({
      recipients: z.array(recipient).min(1).max(1_000).nullable(),
    }),
    /** Who can read the runners' updates: the coordinator and the job's auditors. */
    updates: z.strictObject({ recipients: z.array(recipient).min(1).max(64) }),
  })
  .refine(
    ({ attesters = 0, updates }) => updates.recipients.length > attesters,
    'whoever attests must read the updates: the job needs at least as many auditors as attesters',
  )
  .superRefine(checkRobust);
export type JobSpec = z.output<typeof jobSpec>;

/** job.yaml as a person writes it; paths are relative to the file. */
export const jobFile = z
  .strictObject({
    ...common,
    model: z.string().min(1).describe('Path of an ONNX file.'),
    evaluation: z
      .string()
      .min(1)
      .nullable()
      .default(null)
      .describe('Path of held-out data (safetensors x, y).'),
    training: trainingSpec.prefault({}),
    aggregation: writtenAggregation.prefault({ rule: 'fedavg' }),
    participants: participants.prefault({ quorum: 'all' }),
    rewards: rewards.prefault({ budget: '0' }),
    attesters: z
      .number()
      .int()
      .min(0)
      .max(mostAttesters)
      .default(0)
      .describe(
        'Members, drawn anew each round, that must recompute it and sign before it closes. They must be auditors; name every member that can be drawn.',
      ),
    auditors: z
      .array(address)
      .max(63)
      .default([])
      .describe("Members that can read the runners' updates besides the coordinator, to recompute rounds."),
    sealFirst: z
      .boolean()
      .default(false)
      .describe(
        'Every runner signs a seal of its update before any of them shows its own, so that none can copy another. A round then asks its runners twice.',
      ),
    archive: z
      .strictObject({
        encrypt: z.boolean().default(false).describe('Archive models encrypted for the members only.'),
      })
      .prefault({}),
  })
  .superRefine(checkRobust);
export type JobFile = z.output<typeof jobFile>;

/** The spec that a job file means once its files have hashes (and, if encrypted, readers). */
export function toJobSpec(
  file: JobFile,
  resolved: {
    model: JobSpec['model'];
    evaluation: JobSpec['evaluation'];
    /** Whom the archive is sealed for. */
    recipients: JobSpec['archive']['recipients'];
    /** Coordinator and auditors. */
    readers: Recipient[];
  },
): JobSpec {
  const { archive: _archive, auditors: _auditors, attesters, sealFirst, ...rest } = file;
  return jobSpec.parse({
    ...rest,
    ...(attesters > 0 && { attesters }),
    ...(sealFirst && { sealFirst }),
    model: resolved.model,
    evaluation: resolved.evaluation,
    archive: { recipients: resolved.recipients },
    updates: { recipients: resolved.readers },
  });
}

/** What is wrong between the parts of a job, each of which is right by itself. */
function checkRobust(
  job: { aggregation: z.output<typeof aggregation>; participants: z.output<typeof participants> },
  context: z.RefinementCtx,
): void {
  const { quorum, most } = job.participants;
  const rule = job.aggregation.robust;
  const message = rule && nonsense(rule, quorum === 'all' ? null : quorum, most);
  if (message) context.addIssue({ code: 'custom', path: ['aggregation', 'robust'], message });
}

function parseFraction(text: string): { numerator: number; denominator: number } | null {
  const ratio = /^(\d{1,7})\/(\d{1,7})$/.exec(text);
  const decimal = /^(\d{1,3})(?:\.(\d{1,6}))?$/.exec(text);
  let numerator: number;
  let denominator: number;
  if (ratio) {
    numerator = Number(ratio[1]);
    denominator = Number(ratio[2]);
  } else if (decimal) {
    denominator = 10 ** (decimal[2]?.length ?? 0);
    numerator = Number(decimal[1]) * denominator + Number(decimal[2] ?? 0);
  } else return null;
  const divisor = greatestCommonDivisor(numerator, denominator);
  if (denominator === 0) return null;
  const reduced = { numerator: numerator / divisor, denominator: denominator / divisor };
  return fraction.safeParse(reduced).success ? reduced : null;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
