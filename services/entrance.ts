import type { Wallet } from 'ethers';
import { entryDomain, stackTypes } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import type { StackEntrance } from '#core/entryMessages.js';
import { certificateFingerprint } from './certificate.js';
import { typedDataSigner } from './signatures.js';

/** Where entries are signed for: the chain, and the Consortium contract on it. */
export interface EntryPlace {
  chainId: number;
  consortium: Hex;
}

/** A member signs where its stack is entered. @param wallet the member's */
export async function signEntrance(
  wallet: Wallet,
  place: EntryPlace,
  entrance: Omit<StackEntrance['statement'], 'stack' | 'tlsFingerprints'> & { certificates: string[] },
): Promise<StackEntrance> {
  const { certificates, ...rest } = entrance;
  const statement = {
    ...rest,
    stack: wallet.address.toLowerCase() as Hex,
    tlsFingerprints: certificates.map(certificateFingerprint),
  };
  const domain = entryDomain(place.chainId, place.consortium);
  return {
    statement,
    certificates,
    signature: (await wallet.signTypedData(domain, stackTypes, statement)) as Hex,
  };
}

/**
 * @param stack address of the member whose stack it should be
 * @throws BAD_SIGNATURE when the member did not sign this, TOO_OLD when it counts no longer
 */
export function checkEntrance(entrance: StackEntrance, place: EntryPlace, stack: Hex): void {
  const { statement, certificates, signature } = entrance;
  const domain = entryDomain(place.chainId, place.consortium);
  if (statement.stack !== stack || typedDataSigner(domain, stackTypes, statement, signature) !== stack)
    throw new RoundtableError(
      'BAD_SIGNATURE',
      `Where the stack of ${stack} is entered was not signed by that member. Do not enter; ask the member.`,
    );
  if (certificates.map(certificateFingerprint).join() !== statement.tlsFingerprints.join())
    throw new RoundtableError(
      'BAD_SIGNATURE',
      'The certificates of the gatekeeper are not those that the member signed for.',
    );
  if (statement.expiry <= Date.now() / 1_000)
    throw new RoundtableError(
      'TOO_OLD',
      `What the member ${stack} signed of its stack's entrance has expired. The member must sign it anew.`,
    );
}
