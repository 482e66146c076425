import { z } from 'zod';
import { accountSignature, address, count, hash32 } from './schema.js';

/** What members do at a stack and runners about themselves, each signed (actTypes in eip712.ts), and the log of it. */

export const actionName = z.enum([
  'job.pause',
  'job.resume',
  'job.cancel',
  'runner.drain',
  'runner.undrain',
  'runner.suspend',
  'runner.resume',
  'queue.redrive',
]);
export type ActionName = z.output<typeof actionName>;

/** No act is good for longer. */
export const longestActSeconds = 600;

export const actStatement = z.strictObject({
  stack: address,
  url: z.string().max(2_000),
  action: actionName,
  target: z.string().min(1).max(100),
  reason: z.string().max(1_000),
  nonce: hash32,
  issued: count,
  expiry: count,
});

export const signedAct = z.strictObject({
  statement: actStatement,
  signer: address,
  signature: accountSignature,
});
export type SignedAct = z.output<typeof signedAct>;

/** What an act is signed for, and the stack's clock. */
export const actPlace = z.strictObject({
  chainId: z.number().int().positive(),
  consortium: address,
  stack: address,
  url: z.string(),
  /** Seconds since 1970. */
  now: count,
});
export type ActPlace = z.output<typeof actPlace>;

/** One entry of the log: an act that was admitted, or what came of one. */
export const actEntry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('admitted'), role: z.enum(['member', 'runner']), ...signedAct.shape }),
  z.strictObject({ kind: z.literal('done'), act: count, outcome: z.string().max(1_000) }),
  z.strictObject({ kind: z.literal('failed'), act: count, code: z.string(), outcome: z.string().max(1_000) }),
]);
export type ActEntry = z.output<typeof actEntry>;

/** `hash` is the SHA-256 of the canonical JSON of all other members, and `previous` that of the record before: actLog.ts. */
export const actRecord = z.strictObject({
  seq: z.number().int().min(1),
  at: z.iso.datetime(),
  previous: hash32,
  entry: actEntry,
  hash: hash32,
});
export type ActRecord = z.output<typeof actRecord>;
