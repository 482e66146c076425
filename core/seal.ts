/**
 * Where runners could copy each other, each signs the hash of its update's root, its address and a salt before any of
 * them shows its update (contracts/SealJudge.sol).
 */
import { z } from 'zod';
import { ByteWriter } from './bytes.js';
import { hashJson } from './canonicalJson.js';
import { fromHex, toHex, type Hash, type Hex, type RunnerId, type Sha256Hex } from './hex.js';
import { LEAF } from './merkle.js';
import { address, hash32, signature65 } from './schema.js';

/** A runner's seal, and its SealStatement's signature (eip712.ts). */
export const signedSeal = z.strictObject({ runner: address, seal: hash32, signature: signature65 });
export type SignedSeal = z.output<typeof signedSeal>;

/** The seals of a round, strictly ascending by runner; at most as many as runners are asked. */
export const sealList = z.array(signedSeal).min(1).max(16_384);
export type SealList = z.output<typeof sealList>;

/** H of a list's canonical JSON: what a coordinator signs of it, and the name of the artifact that holds it. */
export function sealListHash(hash: Hash, list: SealList): Sha256Hex {
  return hashJson(hash, list);
}

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
