import { createCipheriv } from 'node:crypto';
import { RoundtableError } from '#core/errors.js';

/**
 * The order in which an epoch visits the samples: a Fisher-Yates shuffle (Knuth, TAOCP 3.4.2, algorithm P) of
 * 0 to count - 1, from the last place down. Its random numbers are the little-endian uint32 of the AES-256-CTR key
 * stream with key `seed` and a counter block of `epoch` (uint64, big-endian) followed by eight zero bytes; numbers
 * that would favour some places are passed over. The same seed and epoch give the same order everywhere.
 * @param seed 32 bytes
 */
export function permutation(seed: Uint8Array, epoch: number, count: number): Int32Array<ArrayBuffer> {
  if (seed.length !== 32)
    throw new RoundtableError('INVALID_INPUT', `A seed has 32 bytes; ${seed.length} were given.`);
  const next = randomIntegers(seed, epoch);
  const order = Int32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const chosen = next(last + 1);
    const moved = order[last] ?? 0;
    order[last] = order[chosen] ?? 0;
    order[chosen] = moved;
  }
  return order;
}

/**
 * A number of 64 bits for each of `count` steps from `first` on, from which the masks of dropout follow: the first halves
 * of the AES-256-CTR blocks whose counter is 2^64 - 1 (which no epoch is) followed by the step (uint64, big-endian).
 */
export function maskSeeds(seed: Uint8Array, first: number, count: number): BigInt64Array<ArrayBuffer> {
  const counter = Buffer.alloc(16, 0xff);
  counter.writeBigUInt64BE(BigInt(first), 8);
  const stream = createCipheriv('aes-256-ctr', seed, counter).update(Buffer.alloc(16 * count));
  return BigInt64Array.from({ length: count }, (_, step) => stream.readBigInt64LE(16 * step));
}

const blockBytes = 4096;

/** A source of integers, uniform from 0 to below a bound of at most 2^32. */
function randomIntegers(seed: Uint8Array, epoch: number): (bound: number) => number {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(epoch));
  const cipher = createCipheriv('aes-256-ctr', seed, counter);
  const zeros = Buffer.alloc(blockBytes);
  let block = Buffer.alloc(0);
  let offset = 0;
  const word = () => {
    if (offset === block.length) {
      block = cipher.update(zeros);
      offset = 0;
    }
    offset += 4;
    return block.readUInt32LE(offset - 4);
  };
  return (bound) => {
    const fair = 2 ** 32 - (2 ** 32 % bound);
    let value = word();
    while (value >= fair) value = word();
    return value % bound;
  };
}
