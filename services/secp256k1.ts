/**
 * ECDSA over secp256k1 as Ethereum uses it, by Bitcoin Core's library compiled to WebAssembly. A round recovers a signer
 * for each of its messages: the same arithmetic in JavaScript takes ten to twenty times as long, and longest of all in a
 * process that has just begun.
 */
import { instantiateSecp256k1 } from '@bitauth/libauth/build/lib/crypto/secp256k1.js';
import { keccak256 } from 'ethers/crypto';
import { fromHex, toHex, type Hex } from '#core/hex.js';

/** The bytes blind its secrets against whoever watches timing and power. */
const curve = await instantiateSecp256k1(crypto.getRandomValues(new Uint8Array(32)));

/** Half the curve's order: of the two values s that would do, only one up to here counts (EIP-2). */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const SIGNATURE = /^0x[0-9a-f]{128}1[bc]$/;

/** Whether 32 bytes are a private key: not zero, and below the curve's order. */
export function isPrivateKey(key: Uint8Array): boolean {
  return curve.validatePrivateKey(key);
}

/** The account of a private key, in lower case. @param key as isPrivateKey has it */
export function addressOf(key: Uint8Array): Hex {
  return accountOf(certain(curve.derivePublicKeyUncompressed(key)));
}

/**
 * Signs 32 bytes: r, s (the lower one), 27 or 28. Equal input gives equal signatures (RFC 6979).
 * @param key as isPrivateKey has it
 */
export function signDigest(key: Uint8Array, digest: Hex): Hex {
  const { signature, recoveryId } = certain(
    curve.signMessageHashRecoverableCompact(key, fromHex(digest, 32)),
  );
  return `${toHex(signature)}${recoveryId === 0 ? '1b' : '1c'}`;
}

/** Whose account signed 32 bytes; null when it is no signature. */
export function recoverAccount(digest: Hex, signature: string): Hex | null {
  if (!SIGNATURE.test(signature)) return null;
  const bytes = fromHex(signature as Hex, 65);
  if (BigInt(toHex(bytes.subarray(32, 64))) > HALF_ORDER) return null;
  const recoveryId = bytes[64] === 27 ? 0 : 1;
  const key = curve.recoverPublicKeyUncompressed(bytes.subarray(0, 64), recoveryId, fromHex(digest, 32));
  // Words instead of a key: r is no point of the curve, or s is zero.
  return typeof key === 'string' ? null : accountOf(key);
}

const accountOf = (publicKey: Uint8Array): Hex => `0x${keccak256(publicKey.subarray(1)).slice(-40)}`;

/** The library answers with words where its input is none. No cause is kept: it could hold a key. */
function certain<T extends object>(answer: T | string): T {
  if (typeof answer === 'string') throw new TypeError('This is no private key of secp256k1.');
  return answer;
}
