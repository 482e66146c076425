import { z } from 'zod';
import { archiveId, hash32, jobId, round, signature65, versionIdSchema } from './schema.js';

/**
 * With what a coordinator wants to close a round whose job asks for attesters; the drawn members recompute it and sign
 * (AttestationStatement in eip712.ts).
 */
export const closingProposal = z.strictObject({
  job: jobId,
  round,
  /** The chain's word of the round's opening. */
  opening: hash32,
  rootHeader: hash32,
  paramsRoot: hash32,
  versionId: versionIdSchema,
  manifestHash: hash32,
  /** Of the manifest. */
  archiveId,
});
export type ClosingProposal = z.output<typeof closingProposal>;

/** What a stack shows at once at most. */
export const mostProposals = 64;

/** A drawn member's answer to a proposal. */
export const attestation = z.strictObject({
  job: jobId,
  round,
  /** keccak256 of the closing's fields: what is signed for. */
  closing: hash32,
  signature: signature65,
});
export type Attestation = z.output<typeof attestation>;
