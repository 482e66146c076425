import type { Wallet } from 'ethers';
import type { ManifestHeader, RoundManifest } from '#core/manifest.js';
import type { SealedRound } from '#services/seals.js';
import { listSignedBy, saltOf, sealedBy } from '#test/support/seals.js';

/** What a round's headers are with seals: each opens its runner's, and the coordinator has signed them all. */
export function sealHeaders(
  coordinator: Wallet,
  runners: readonly Wallet[],
  place: SealedRound,
  headers: readonly ManifestHeader[],
): { headers: ManifestHeader[]; seals: NonNullable<RoundManifest['hashed']['seals']> } {
  const sealed = headers.map((header, index) => {
    const wallet = runners[index];
    if (!wallet) throw new Error(`there is no runner ${index}`);
    return {
      header: { ...header, salt: saltOf(wallet, place.opening.round) },
      seal: sealedBy(wallet, place, header.updateRoot),
    };
  });
  const list = sealed.map(({ seal }) => seal);
  return {
    headers: sealed.map(({ header }) => header),
    seals: { list, signature: listSignedBy(coordinator, place, list) },
  };
}
