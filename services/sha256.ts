import * as crypto from 'node:crypto';
import { toHex, type Hash, type Sha256Hex } from '#core/hex.js';

/** Node's SHA-256, as core wants it handed in. */
export const sha256: Hash = (bytes) => oneShot('sha256', bytes);

export function sha256Hex(bytes: Uint8Array): Sha256Hex {
  return toHex(sha256(bytes));
}

// crypto.hash (Node 20.12, 21.7) costs half of what createHash does on the short inputs that trees are made of.
const oneShot: (algorithm: string, bytes: Uint8Array) => Uint8Array =
  typeof crypto.hash === 'function'
    ? (algorithm, bytes) => crypto.hash(algorithm, bytes, 'buffer')
    : (algorithm, bytes) => crypto.createHash(algorithm).update(bytes).digest();
