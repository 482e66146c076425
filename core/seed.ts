import { ByteWriter } from './bytes.js';
import { fromHex, type Hash, type JobId, type RunnerId } from './hex.js';
import { LEAF } from './merkle.js';

/**
 * 32 bytes from which a runner draws everything random in one round (shuffles, dropout), so that training it
 * again gives the same update: H(0x0a ‖ job 32 ‖ round u32 ‖ runner 20).
 */
export function trainingSeed(hash: Hash, of: { job: JobId; round: number; runner: RunnerId }): Uint8Array {
  return hash(
    new ByteWriter(57)
      .u8(LEAF.seed)
      .bytes(fromHex(of.job), 32)
      .u32(of.round)
      .bytes(fromHex(of.runner), 20)
      .finish(),
  );
}
