import { ZERO_HASH, type Hex } from '#core/hex.js';
import type { EpochManifest, ManifestHeader, RoundManifest } from '#core/manifest.js';
import { Evidence } from '#audit/evidence.js';
import { sha256 } from '#services/sha256.js';
import { archiveId } from '#test/services/chainStack.js';
import type { Sign } from './signing.js';

/** What a cheating coordinator does in round 2; everything behind it is hashed and anchored as if it were true. */
export interface Falsification {
  /** The parameters that the job starts from. */
  start?: (params: Int32Array) => void;
  /** The new parameters, before they are committed to. */
  params?: (params: Int32Array) => void;
  /** The weighted sum, from which the step is made then. */
  sum?: (sum: Float64Array) => void;
  /** What the round is opened with. */
  opening?: (opening: {
    baseVersion: Hex;
    shift: number;
    selection: { runner: Hex; maxSamples: number }[];
  }) => void;
  /** The server's momentum, likewise. */
  velocity?: (velocity: Int32Array) => void;
  /** The headers, before the tree over them is built. */
  headers?: (headers: ManifestHeader[], sign: Sign) => Promise<ManifestHeader[]> | ManifestHeader[];
  /** The hashed part of the manifest, before it is hashed. */
  manifest?: (manifest: RoundManifest['hashed']) => void;
  epoch?: (manifest: EpochManifest['hashed']) => void;
}

/** The root header over whatever headers there are, in whatever order. */
export function rootOf(headers: readonly ManifestHeader[], sumRoots: readonly (readonly Hex[])[]): Hex {
  const zero: Hex = ZERO_HASH;
  const closing = {
    job: zero,
    round: 0,
    rootHeader: ZERO_HASH,
    paramsRoot: ZERO_HASH,
    versionId: zero,
    manifestHash: ZERO_HASH,
    archiveId,
    block: 0,
    transaction: ZERO_HASH,
  };
  return new Evidence(sha256, { closing, opening: ZERO_HASH, headers, sumRoots }).root;
}

/** Takes a unit from the first share and gives it to the second. */
export function moveUnit(shares: { amount: string }[]): void {
  const [from, to] = shares;
  if (!from || !to) return;
  from.amount = String(BigInt(from.amount) - 1n);
  to.amount = String(BigInt(to.amount) + 1n);
}
