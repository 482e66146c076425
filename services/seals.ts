import { sealListTypes, sealTypes, updateDomain } from '#core/eip712.js';
import type { Hex, JobId, RunnerId, Sha256Hex } from '#core/hex.js';
import type { SealList, SignedSeal } from '#core/seal.js';
import { typedDataSigner } from './signatures.js';

/** What seals are signed for: chain, contract, and one opening of a round. */
export interface SealedRound {
  domain: { chainId: number; jobs: Hex };
  opening: { job: JobId; round: number; openHash: Sha256Hex };
}

/** Who signed a seal; null when it is no signature. */
export function sealSigner(
  { domain, opening: { job, round, openHash } }: SealedRound,
  { seal, signature }: Pick<SignedSeal, 'seal' | 'signature'>,
): Hex | null {
  const statement = { job, round, openHash, seal };
  return typedDataSigner(updateDomain(domain.chainId, domain.jobs), sealTypes, statement, signature);
}

/** Who signed that these seals are all that the round has. @param list sealListHash of them */
export function sealListSigner(
  { domain, opening: { job, round, openHash } }: SealedRound,
  list: Sha256Hex,
  signature: Hex,
): Hex | null {
  const statement = { job, round, openHash, list };
  return typedDataSigner(updateDomain(domain.chainId, domain.jobs), sealListTypes, statement, signature);
}

/**
 * The first thing that is wrong with a round's seals, each by itself: a runner that is there twice or out of order, a seal
 * that its runner did not sign for this opening. Null when nothing is. That two runners have one seal is nothing wrong: it
 * opens for one address only.
 */
export function wrongSeal(round: SealedRound, list: SealList): { runner: RunnerId; what: string } | null {
  for (const [index, entry] of list.entries()) {
    const { runner } = entry;
    if (index > 0 && runner <= (list[index - 1]?.runner ?? ''))
      return { runner, what: `the seal of runner ${runner} is out of order or there twice` };
    const signer = sealSigner(round, entry);
    if (signer !== runner)
      return {
        runner,
        what: `the seal of runner ${runner} is ${signer === null ? 'not signed' : `signed by ${signer}`}`,
      };
  }
  return null;
}
