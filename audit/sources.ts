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
  /** An update file by the root that its runner signed, from whoever holds it; null when it is not at hand. */
  update?: (updateRoot: Hex) => Promise<Uint8Array | null>;
}
