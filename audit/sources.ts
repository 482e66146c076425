import type { Hash, Hex } from '#core/hex.js';
import type { Archive } from '#services/archive.js';
import type { Chain } from '#services/chain.js';

/** What an audit reads from. Nothing of the coordinator's is needed, and nothing it says is believed. */
export interface AuditSources<C extends AuditChain = Chain> {
  chain: C;
  /** Who took the chain's record and when, where no node was asked: it stands on that one's word. */
  chainRecord?: string;
  /** Need not be believed: all that comes is hashed. */
  archive: Pick<Archive, 'get' | 'find'>;
  /** SHA-256. */
  hash: Hash;
  /** Plain files by their SHA-256, from whoever keeps them; asked before the archive. Null for what is not there. */
  held?: (sha256: Hex) => Promise<Uint8Array | null>;
  /** Opens what was sealed for a member; `context` is the hash of the plain bytes. Without it, sealed models stay shut. */
  unseal?: (envelope: Uint8Array, context: Hex) => Uint8Array;
  /** Without it, sums are not recomputed. */
  updateSource?: UpdateSource;
}

/** What is read of the chain: from a node (services/chain.ts), or from a record of it (savedChain.ts). */
export type AuditChain = Pick<
  Chain,
  | 'deployment'
  | 'job'
  | 'jobs'
  | 'jobsFrom'
  | 'rounds'
  | 'voidRounds'
  | 'closings'
  | 'closedVersions'
  | 'commitments'
  | 'finalRound'
  | 'epochs'
  | 'claims'
  | 'claimed'
>;

/** Which update is wanted, as the manifest of its round names it. */
export interface WantedUpdate {
  job: Hex;
  round: number;
  runner: Hex;
  /** What the runner signed. */
  updateRoot: Hex;
}

/**
 * The plain bytes of an update file from whoever holds it (a folder, a URL, envelopes that an auditor's key opens);
 * null when it is not at hand. Need not be believed: the file must lead to the signed root.
 */
export type UpdateSource = (wanted: WantedUpdate) => Promise<Uint8Array | null>;
