import { z } from 'zod';
import { dataContract } from './messages.js';
import { address, count, hash32, jobId, round, signature65, slug } from './schema.js';

/** What runners and stacks say to each other before and between tasks: who enters, where, and who is here. */

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

/** Why and by whom a runner is kept out of a stack, or out of its new rounds. */
export const suspension = z.strictObject({
  by: address,
  reason: z.string().max(1_000),
  at: z.iso.datetime(),
});
export type Suspension = z.output<typeof suspension>;

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
