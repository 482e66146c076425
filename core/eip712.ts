/** What a runner signs for an update (PROTOCOL section 2), as EIP-712 typed data (https://eips.ethereum.org/EIPS/eip-712). */
import { type Uint } from './bytes.js';
import { type Hex, type JobId, type Sha256Hex } from './hex.js';

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

export interface SignatureDomain {
  name: string;
  version: string;
  chainId: number;
  verifyingContract: Hex;
}

/** A signature counts on one chain and for one Jobs contract only. */
export function updateDomain(chainId: number, jobs: Hex): SignatureDomain {
  return { name: 'Roundtable', version: '1', chainId, verifyingContract: jobs };
}
