/**
 * What runners and members sign as EIP-712 typed data (https://eips.ethereum.org/EIPS/eip-712): a runner its updates
 * (PROTOCOL section 2) and its entries at stacks, a member where its stack is entered, and either what it does there.
 */
import { type Uint } from './bytes.js';
import { type Hex, type JobId, type RunnerId, type Sha256Hex } from './hex.js';

export interface UpdateStatement {
  job: JobId;
  round: number;
  /** Commits base version, spec and selection, see openHash.ts. */
  openHash: Sha256Hex;
  /** valuesRoot of the update with type `update`. */
  updateRoot: Sha256Hex;
  dimension: Uint;
  samples: Uint;
  /** Optimiser steps taken. */
  steps: Uint;
}

/** Field order and types are part of the signature; Solidity hashes the same string. */
export const updateTypes = {
  Update: [
    { name: 'job', type: 'bytes32' },
    { name: 'round', type: 'uint32' },
    { name: 'openHash', type: 'bytes32' },
    { name: 'updateRoot', type: 'bytes32' },
    { name: 'dimension', type: 'uint64' },
    { name: 'samples', type: 'uint64' },
    { name: 'steps', type: 'uint64' },
  ],
};

/** What a coordinator signs when it has an update and will add it; contracts/ReceiptJudge.sol says what it is worth. */
export interface ReceiptStatement {
  job: JobId;
  round: number;
  openHash: Sha256Hex;
  runner: RunnerId;
  updateRoot: Sha256Hex;
}

export const receiptTypes = {
  Receipt: [
    { name: 'job', type: 'bytes32' },
    { name: 'round', type: 'uint32' },
    { name: 'openHash', type: 'bytes32' },
    { name: 'runner', type: 'address' },
    { name: 'updateRoot', type: 'bytes32' },
  ],
};

/** What a runner signs before any runner shows its update, see seal.ts and contracts/SealJudge.sol. */
export interface SealStatement {
  job: JobId;
  round: number;
  openHash: Sha256Hex;
  seal: Sha256Hex;
}

export const sealTypes = {
  Seal: [
    { name: 'job', type: 'bytes32' },
    { name: 'round', type: 'uint32' },
    { name: 'openHash', type: 'bytes32' },
    { name: 'seal', type: 'bytes32' },
  ],
};

/** What a coordinator signs before it asks anybody to reveal: that these seals are all that the round has. */
export interface SealListStatement {
  job: JobId;
  round: number;
  openHash: Sha256Hex;
  /** sealListHash of the round's seals, see seal.ts. */
  list: Sha256Hex;
}

export const sealListTypes = {
  SealList: [
    { name: 'job', type: 'bytes32' },
    { name: 'round', type: 'uint32' },
    { name: 'openHash', type: 'bytes32' },
    { name: 'list', type: 'bytes32' },
  ],
};

/** What a drawn member signs: "I hold every update under this root and recomputed it" (contracts/Attestations.sol). */
export interface AttestationStatement {
  job: JobId;
  round: number;
  /** keccak256 of the closing's fields, which begin with the word of the opening. */
  closing: Hex;
}

export const attestationTypes = {
  Attestation: [
    { name: 'job', type: 'bytes32' },
    { name: 'round', type: 'uint32' },
    { name: 'closing', type: 'bytes32' },
  ],
};

export interface SignatureDomain {
  name: string;
  version: string;
  chainId: number;
  verifyingContract: Hex;
}

/** Of updates, receipts, seals and attestations: a signature counts on one chain and for one Jobs contract only. */
export function updateDomain(chainId: number, jobs: Hex): SignatureDomain {
  return { name: 'Roundtable', version: '1', chainId, verifyingContract: jobs };
}

/** What a runner signs to enter a stack: from now until `expiry` this certificate stands for it there. */
export interface EnrolmentStatement {
  /** Address of the stack's member: a statement for one stack is worth nothing at another. */
  stack: Hex;
  runner: Hex;
  /** SHA-256 of the TLS certificate, DER. */
  tlsFingerprint: Sha256Hex;
  /** X25519 key that payloads for the runner are encrypted with. */
  sealingKey: Hex;
  /** Seconds since 1970. */
  expiry: Uint;
  /** Rises from statement to statement of a runner, so that an old one cannot be repeated. */
  nonce: Uint;
}

export const enrolmentTypes = {
  Enrolment: [
    { name: 'stack', type: 'address' },
    { name: 'runner', type: 'address' },
    { name: 'tlsFingerprint', type: 'bytes32' },
    { name: 'sealingKey', type: 'bytes32' },
    { name: 'expiry', type: 'uint64' },
    { name: 'nonce', type: 'uint64' },
  ],
};

/**
 * What a member signs of its stack: where its gatekeeper is (host:port), Temporal's namespace, the SHA-256 of the
 * certificates (DER) that the gatekeepers may show, the X25519 key that the member announced on chain, and when all this
 * ends. The fields are those of stackEntrance in messages.ts.
 */
export const stackTypes = {
  Stack: [
    { name: 'stack', type: 'address' },
    { name: 'gatekeeper', type: 'string' },
    { name: 'namespace', type: 'string' },
    { name: 'tlsFingerprints', type: 'bytes32[]' },
    { name: 'sealingKey', type: 'bytes32' },
    { name: 'expiry', type: 'uint64' },
  ],
};

/** Entries count on one chain and in one consortium only. */
export function entryDomain(chainId: number, consortium: Hex): SignatureDomain {
  return { name: 'Roundtable entry', version: '1', chainId, verifyingContract: consortium };
}

/** What a member does at a stack, or a runner about itself: pausing a job, say. The fields are those of acts.ts. */
export interface ActStatement {
  /** Address of the stack's member: an act at one stack is worth nothing at another. */
  stack: Hex;
  /** The stack's URL as its member published it on chain, for the signer to read; empty if it published none. */
  url: string;
  action: string;
  /** A job, a runner or a queue, as the action has it. */
  target: string;
  reason: string;
  /** 32 random bytes: an act is done once. */
  nonce: Hex;
  /** Seconds since 1970. */
  issued: Uint;
  expiry: Uint;
}

export const actTypes = {
  Act: [
    { name: 'stack', type: 'address' },
    { name: 'url', type: 'string' },
    { name: 'action', type: 'string' },
    { name: 'target', type: 'string' },
    { name: 'reason', type: 'string' },
    { name: 'nonce', type: 'bytes32' },
    { name: 'issued', type: 'uint64' },
    { name: 'expiry', type: 'uint64' },
  ],
};

/** Acts count on one chain and in one consortium only. */
export function actDomain(chainId: number, consortium: Hex): SignatureDomain {
  return { name: 'Roundtable act', version: '1', chainId, verifyingContract: consortium };
}
