import { hashMessage, TypedDataEncoder } from 'ethers/hash';
import type { SignatureDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { recoverAccount, signDigest } from './secp256k1.js';

/** Types of one statement, as core/eip712.ts names them. */
export type StatementTypes = Record<string, { name: string; type: string }[]>;

/** What is signed of typed data (EIP-712). @throws TypeError for a value that has not the form of its types */
export function typedDataDigest(domain: SignatureDomain, types: StatementTypes, value: object): Hex {
  return TypedDataEncoder.hash(domain, types, value) as Hex;
}

/** What is signed of a text (EIP-191). */
export function textDigest(text: string): Hex {
  return hashMessage(text) as Hex;
}

/**
 * Who signed typed data; null when it is no signature. Of the forms that a signature can be written in only one counts,
 * as on chain: 65 bytes, a low s (EIP-2), 27 or 28 at the end.
 */
export function typedDataSigner(
  domain: SignatureDomain,
  types: StatementTypes,
  value: object,
  signature: string,
): Hex | null {
  let digest: Hex;
  try {
    digest = typedDataDigest(domain, types, value);
  } catch {
    // Nobody signed what has no digest.
    return null;
  }
  return recoverAccount(digest, signature);
}

/** Signs typed data. @param key as isPrivateKey has it */
export function signTypedData(
  key: Uint8Array,
  domain: SignatureDomain,
  types: StatementTypes,
  value: object,
): Hex {
  return signDigest(key, typedDataDigest(domain, types, value));
}

/** Who signed a text; null as for typed data. */
export function textSigner(text: string, signature: string): Hex | null {
  return recoverAccount(textDigest(text), signature);
}
