/** Inputs of vectors: they look random and follow from a label by SHA-256, so that the files can be made again. */
import { toHex, type Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';

export const U64 = 2n ** 64n - 1n;
export const U128 = 2n ** 128n - 1n;

/** `length` bytes that look random and follow from the label. */
export function bytes(label: string, length = 32): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    sha256(new TextEncoder().encode(`${label}/${i}`)),
  );
  return Uint8Array.from(blocks.flatMap((block) => [...block])).slice(0, length);
}

export const hex = (label: string, length = 32): Hex => toHex(bytes(label, length));
export const filled = (byte: string, length: number): Hex => `0x${byte.repeat(length)}`;
export const int32 = (label: string, length: number): Int32Array =>
  new Int32Array(bytes(label, 4 * length).buffer);

export function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
