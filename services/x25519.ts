/**
 * X25519 (RFC 7748) on keys as they are, 32 bytes each. Node gets them as JSON Web Keys (RFC 8037): OpenSSL takes half
 * a millisecond and more to find a decoder for the same key in DER.
 */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { RoundtableError } from '#core/errors.js';

const CURVE = { kty: 'OKP', crv: 'X25519' } as const;

export interface X25519KeyPair {
  publicKey: Uint8Array;
  privateKey: Uint8Array;
}

export function generateX25519Key(): X25519KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { publicKey: exportKey(publicKey, 'x'), privateKey: exportKey(privateKey, 'd') };
}

/** The public key that belongs to a private one. @throws INVALID_INPUT */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  return exportKey(createPublicKey(importPrivateKey(privateKey)), 'x');
}

/**
 * The shared secret, 32 bytes: to be hashed before use.
 * @throws INVALID_INPUT for keys of a wrong length, and public keys of low order, which would make it zero
 */
export function agreeX25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const keys = { privateKey: importPrivateKey(privateKey), publicKey: importPublicKey(publicKey) };
  try {
    return diffieHellman(keys);
  } catch (cause) {
    throw new RoundtableError(
      'INVALID_INPUT',
      'This X25519 public key is unsafe: it agrees on zero with everyone.',
      { cause },
    );
  }
}

/** The field of a JSON Web Key that holds the public or the private key. */
type Part = 'x' | 'd';

function importPublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: { ...CURVE, x: encoded(raw) }, format: 'jwk' });
}

/** The public key is computed from the private one, whatever stands in its place. */
function importPrivateKey(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: { ...CURVE, d: encoded(raw), x: '' }, format: 'jwk' });
}

function exportKey(key: KeyObject, part: Part): Uint8Array {
  return new Uint8Array(Buffer.from(key.export({ format: 'jwk' })[part] ?? '', 'base64url'));
}

const encoded = (raw: Uint8Array): string => Buffer.from(checked(raw)).toString('base64url');

function checked(raw: Uint8Array): Uint8Array {
  if (raw.length !== 32)
    throw new RoundtableError('INVALID_INPUT', `An X25519 key has 32 bytes, this one ${raw.length}.`);
  return raw;
}
