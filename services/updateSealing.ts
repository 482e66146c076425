import { fromHex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import { openSealed, seal, sealedOverhead, unseal, type OpenedSeal } from './sealing.js';

/** Whose update of which round: what a sealed update is bound to. */
export interface UpdateIds {
  job: string;
  round: number;
  runner: string;
}

/** @returns the file that travels; each time another one, as its keys are made for it */
export function sealUpdate(file: Uint8Array, readers: readonly Recipient[], of: UpdateIds): Uint8Array {
  return seal(
    file,
    readers.map(({ member, publicKey }) => ({ id: member, publicKey: fromHex(publicKey, 32) })),
    contextOf(of),
  );
}

/**
 * The update file (core/updateFile.ts) in what a runner uploaded.
 * @param reader `id` is the member's address
 * @throws SEAL_NOT_FOR_YOU; SEAL_BROKEN also for an update of another job, round or runner
 */
export function openUpdate(
  bytes: Uint8Array,
  reader: { id: string; privateKey: Uint8Array },
  of: UpdateIds,
): Uint8Array {
  return unseal(bytes, reader, contextOf(of));
}

/** As openUpdate, for whoever reads the file in pieces. @param head its beginning, 16 bytes more than updateOverhead */
export function openUpdateHead(
  head: Uint8Array,
  reader: { id: string; privateKey: Uint8Array },
  of: UpdateIds,
): Omit<OpenedSeal, 'stream'> & { stream: () => ReturnType<OpenedSeal['stream']> } {
  const opened = openSealed(head, reader);
  return { ...opened, stream: () => opened.stream(contextOf(of)) };
}

/** Bytes that sealing adds. */
export function updateOverhead(readers: readonly Recipient[]): number {
  return sealedOverhead(readers.map(({ member }) => member));
}

const contextOf = ({ job, round, runner }: UpdateIds): string => `update ${job} ${round} ${runner}`;
