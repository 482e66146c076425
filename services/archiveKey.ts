import { constants, createPrivateKey, generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { JWKInterface } from 'arweave/node/lib/wallet.js';
import { RoundtableError } from '#core/errors.js';
import { sha256 } from './sha256.js';

export type { JWKInterface };

/** A new RSA key of 4096 bits, the size Arweave demands. Takes seconds, on a thread of its own. */
export async function generateArchiveKey(): Promise<JWKInterface> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 4096,
    publicExponent: 0x10001,
  });
  const { n, e, d, p, q, dp, dq, qi } = privateKey.export({ format: 'jwk' });
  if (!n || !e || !d || !p || !q || !dp || !dq || !qi)
    throw new RoundtableError('INTERNAL', 'Node exported an incomplete RSA key.');
  return { kty: 'RSA', n, e, d, p, q, dp, dq, qi };
}

/** The address that owns what the key signs: SHA-256 of its modulus, 43 characters of base64url. */
export function archiveAddress(key: { n: string }): string {
  return Buffer.from(sha256(Buffer.from(key.n, 'base64url'))).toString('base64url');
}

export interface ArchiveSigner {
  /** The modulus, 512 bytes as base64url: a transaction's `owner`. */
  readonly owner: string;
  readonly address: string;
  /** RSA-PSS with SHA-256, 512 bytes. */
  sign(payload: Uint8Array): Promise<Uint8Array>;
}

/** @throws INVALID_INPUT unless the key is an RSA private key of 4096 bits */
export function archiveSigner(jwk: JWKInterface): ArchiveSigner {
  const key = privateKeyOf(jwk);
  const signAsync = promisify(sign);
  return {
    owner: jwk.n,
    address: archiveAddress(jwk),
    sign: (payload) =>
      signAsync('sha256', payload, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }),
  };
}

function privateKeyOf(jwk: JWKInterface): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    // The cause may quote the key.
    throw new RoundtableError(
      'INVALID_INPUT',
      'The archive key is not a private RSA key in JWK form. Make one with generateArchiveKey().',
    );
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (key.asymmetricKeyType !== 'rsa' || bits !== 4096)
    throw new RoundtableError(
      'INVALID_INPUT',
      `The archive key is ${key.asymmetricKeyType} of ${bits ?? '?'} bits; Arweave wants RSA of 4096 bits.`,
    );
  return key;
}
