import { ByteWriter } from './bytes.js';
import { fromHex, toHex, type Hash, type Hex, type RunnerId, type Sha256Hex } from './hex.js';
import { LEAF } from './merkle.js';

/**
 * H(0x0b ‖ updateRoot 32 ‖ runner 20 ‖ salt 32): what a runner signs before any runner shows its update. The salt hides
 * the root; the address makes another's seal worth nothing.
 */
export function sealOf(hash: Hash, updateRoot: Sha256Hex, runner: RunnerId, salt: Hex): Sha256Hex {
  return toHex(
    hash(
      new ByteWriter(85)
        .u8(LEAF.seal)
        .bytes(fromHex(updateRoot), 32)
        .bytes(fromHex(runner), 20)
        .bytes(fromHex(salt), 32)
        .finish(),
    ),
  );
}
