import type { Hex } from '#core/hex.js';
import type { ClosedRound, CreatedJob } from './contracts.js';
import { keccak256 } from './keccak.js';
import { join, word } from './rpc.js';

/**
 * contracts/lib/Records.sol hashes what it is told, so that one word of storage stands for an event: the time, and
 * the last 224 bits of the hash, which are what these functions give.
 */
export function genesisCommitment(job: CreatedJob): Hex {
  return committed(job.fields);
}

export function openingCommitment(previousClosing: Hex, job: Hex, round: number, openHash: Hex): Hex {
  return committed(join(previousClosing, job, word(round), openHash));
}

export function closingCommitment(opening: Hex, closed: ClosedRound): Hex {
  const { rootHeader, paramsRoot, versionId, manifestHash, archive } = closed;
  return committed(join(opening, rootHeader, paramsRoot, versionId, manifestHash, archiveWord(archive)));
}

/** What a word in storage says about the fields, without the time in front. */
export function commitmentOf(storageWord: Hex): Hex {
  return `0x${storageWord.slice(-56)}`;
}

function committed(fields: Hex): Hex {
  return commitmentOf(keccak256(fields));
}

function archiveWord(id: string): Hex {
  const binary = atob(id.replaceAll('-', '+').replaceAll('_', '/'));
  return `0x${[...binary].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join('')}`;
}
