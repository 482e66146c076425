import type { SigningKey } from 'ethers/crypto';
import { TypedDataEncoder, verifyMessage, verifyTypedData } from 'ethers/hash';
import type { SignatureDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';

/**
 * Who signed typed data (EIP-712); null when it is no signature. Of the forms that a signature can be written in only
 * one counts, as on chain: 65 bytes, a low s (EIP-2), 27 or 28 at the end. ethers alone would take other last bytes.
 */
export function typedDataSigner(
  domain: SignatureDomain,
  types: Record<string, { name: string; type: string }[]>,
  value: object,
  signature: string,
): Hex | null {
  return signerOf(signature, () => verifyTypedData(domain, types, value, signature));
}

/** Signs typed data (EIP-712): 65 bytes, r ‖ s ‖ v. Equal input gives equal signatures (RFC 6979). */
export function signTypedData(
  key: SigningKey,
  domain: SignatureDomain,
  types: Record<string, { name: string; type: string }[]>,
  value: object,
): Hex {
  return key.sign(TypedDataEncoder.hash(domain, types, value)).serialized as Hex;
}

/** Who signed a text (EIP-191); null as for typed data. */
export function textSigner(text: string, signature: string): Hex | null {
  return signerOf(signature, () => verifyMessage(text, signature));
}

function signerOf(signature: string, recover: () => string): Hex | null {
  if (!/^0x[0-9a-f]{128}1[bc]$/.test(signature)) return null;
  try {
    return recover().toLowerCase() as Hex;
  } catch {
    // Not a point on the curve, or a high s.
    return null;
  }
}
