import { keccak256 as hexKeccak } from 'ethers/crypto';
import type { Hex } from '#core/hex.js';

export const keccak256 = (bytes: Hex | Uint8Array): Hex => hexKeccak(bytes) as Hex;

/** Topic of an event or, in its first four bytes, selector of a function. */
export const id = (signature: string): Hex => keccak256(new TextEncoder().encode(signature));
