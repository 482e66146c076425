import { sha256 as hexSha256 } from 'ethers/crypto';
import { fromHex, toHex, type Hash, type Sha256Hex } from '#core/hex.js';
import { sha256Kernel } from '#core/sha256Kernel.js';

const kernel = sha256Kernel();

/** SHA-256 as core wants it handed in; trees by WebAssembly where the engine allows it, else one hash at a time. */
export const sha256: Hash = Object.assign(
  (bytes: Uint8Array) => fromHex(hexSha256(bytes)),
  kernel ? { each: kernel.each } : {},
);

/** Of a whole file, by the browser's own implementation, which is the fastest there is. */
export async function fileSha256(bytes: Uint8Array<ArrayBuffer>): Promise<Sha256Hex> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}
