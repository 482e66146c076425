/** X25519 (RFC 7748) on keys as they are, 32 bytes each; Node itself wants them in DER (RFC 8410). */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { RoundtableError } from '#core/errors.js';

export interface X25519KeyPair {
  publicKey: Uint8Array;
  privateKey: Uint8Array;
}

export function generateX25519Key(): X25519KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { publicKey: rawPublicKey(publicKey), privateKey: rawPrivateKey(privateKey) };
}

/** The public key that belongs to a private one. @throws INVALID_INPUT */
export function x25519PublicKey(privateKey: Uint8Array): Uint8Array {
  return rawPublicKey(createPublicKey(importPrivateKey(privateKey)));
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

const PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

function importPublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, checked(raw)]), format: 'der', type: 'spki' });
}

function importPrivateKey(raw: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PRIVATE_PREFIX, checked(raw)]),
    format: 'der',
    type: 'pkcs8',
  });
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'spki' }).subarray(PUBLIC_PREFIX.length);
}

function rawPrivateKey(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(PRIVATE_PREFIX.length);
}

function checked(raw: Uint8Array): Uint8Array {
  if (raw.length !== 32)
    throw new RoundtableError('INVALID_INPUT', `An X25519 key has 32 bytes, this one ${raw.length}.`);
  return raw;
}
