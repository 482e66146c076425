/** The words in which Jobs remembers openings and closings (contracts/lib/Records.sol). */
import { AbiCoder, keccak256 } from 'ethers';
import type { Hex } from '#core/hex.js';
import { closingInput, creationInput, type ClosedFields } from '../chainCalls.js';
import type { ChainJob } from './jobs.js';

const abi = AbiCoder.defaultAbiCoder();
const terms = 'tuple(uint64,uint8,uint32,uint32,uint32,uint32,uint8,uint48)';
const creation = `tuple(bytes32,address,bytes32,bytes32,bytes32,bytes32,bytes32,uint32,uint256,${terms})`;
const closing = 'tuple(bytes32,bytes32,bytes32,bytes32,bytes32,bytes32)';

/** Whether a word in storage is that of these fields: its last 224 bits are those of their keccak256. */
export function wordHolds(word: Hex | null, fields: Hex): boolean {
  return word !== null && word.slice(-56) === keccak256(fields).slice(-56);
}

/** Seconds since 1970 at which what a word stands for happened. */
export function wordTime(word: Hex): number {
  return Number.parseInt(word.slice(2, 10), 16);
}

/** The fields of a job's creation as they are hashed. */
export function creationFields(job: Omit<ChainJob, 'latest' | 'phase' | 'block' | 'transaction'>): Hex {
  const { terms: declared, ...fields } = creationInput(job);
  return abi.encode([creation], [[...Object.values(fields), Object.values(declared)]]) as Hex;
}

/** @param previous word of the closing before */
export function openingFields(previous: Hex, job: Hex, round: number, openHash: Hex): Hex {
  return abi.encode(['bytes32', 'bytes32', 'uint32', 'bytes32'], [previous, job, round, openHash]) as Hex;
}

/** What attesters sign for. @param opening word of the opening that it closes */
export function closingHash(opening: Hex, fields: ClosedFields): Hex {
  return keccak256(closingFields(opening, fields)) as Hex;
}

/** @param opening word of the opening that it closes */
export function closingFields(opening: Hex, fields: ClosedFields): Hex {
  return abi.encode([closing], [Object.values(closingInput(opening, fields))]) as Hex;
}
