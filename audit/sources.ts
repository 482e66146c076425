import type { Hash, Hex } from '#core/hex.js';
import type { Archive } from '#services/archive.js';
import type { Chain } from '#services/chain.js';

/** What an audit reads from. Nothing of the coordinator's is needed, and nothing it says is believed. */
export interface AuditSources {
  chain: Chain;
  archive: Pick<Archive, 'get' | 'find'>;
  /** SHA-256. */
  hash: Hash;
  /** Opens what was sealed for a member; `context` is the hash of the plain bytes. Without it, sealed models stay shut. */
  unseal?: (envelope: Uint8Array, context: Hex) => Uint8Array;
  /** Without it, sums are not recomputed. */
  updateSource?: UpdateSource;
}

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
