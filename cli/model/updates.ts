import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import type { UpdateSource, WantedUpdate } from '#audit/index.js';
import { isSealed, sealedFor } from '#services/sealing.js';
import { openUpdate } from '#services/updateSealing.js';
import type { Api } from '../api.js';

/** An update as its runner encoded it: what is sealed is opened, null when it is sealed for others or by another runner. */
export type OpenUpdate = (bytes: Uint8Array, wanted: WantedUpdate) => Uint8Array | null;

/** @param keys X25519 private keys of whoever audits */
export function openWith(keys: readonly Uint8Array[]): OpenUpdate {
  return (bytes, wanted) => {
    if (!isSealed(bytes)) return bytes;
    for (const id of sealedFor(bytes))
      for (const privateKey of keys)
        try {
          return openUpdate(bytes, { id, privateKey }, wanted);
        } catch (error) {
          if (!isRoundtableError(error, 'SEAL_NOT_FOR_YOU') && !isRoundtableError(error, 'SEAL_BROKEN'))
            throw error;
        }
    return null;
  };
}

/**
 * Update files in folders, at any depth: `JOB/ROUND/update.bin`, as runners keep them in their work, or
 * `UPDATE_ROOT.bin`. What a file's place says of it must be true: anything else is an error, not a missing update.
 */
export function updatesIn(folders: readonly string[], open: OpenUpdate): UpdateSource {
  let files: string[] | undefined;
  /** Where each runner's last update lay: its others lie beside it, and opening a stranger's in vain is dear. */
  const homes = new Map<string, string>();
  return async (wanted) => {
    files ??= folders.flatMap(filesBelow);
    const named = files.find((file) => file.endsWith(`/${wanted.updateRoot}.bin`));
    if (named !== undefined) return open(bytesOf(named), wanted);
    const place = `${wanted.job.slice(2)}/${wanted.round}/update.bin`;
    const known = `${homes.get(wanted.runner) ?? ''}${place}`;
    const ofRound = files.filter((file) => file.endsWith(place));
    for (const file of [...ofRound.filter((each) => each === known), ...ofRound]) {
      const bytes = open(bytesOf(file), wanted);
      if (!bytes || !isBy(wanted, bytes, file)) continue;
      homes.set(wanted.runner, file.slice(0, -place.length));
      return bytes;
    }
    return null;
  };
}

/** Update files of a server: `URL/UPDATE_ROOT.bin`; 404 for one that it does not have. */
export function updatesAt(url: string, open: OpenUpdate): UpdateSource {
  return async (wanted) => {
    const address = `${url.replace(/\/+$/, '')}/${wanted.updateRoot}.bin`;
    const response = await fetch(address, { signal: AbortSignal.timeout(600_000) }).catch(
      (cause: unknown) => {
        throw new RoundtableError('UNAVAILABLE', `${new URL(url).host} does not answer.`, { cause });
      },
    );
    if (response.status === 404) return null;
    if (!response.ok)
      throw new RoundtableError(
        'UNAVAILABLE',
        `${new URL(url).host} answered ${response.status} for an update.`,
      );
    return open(new Uint8Array(await response.arrayBuffer()), wanted);
  };
}

/** Updates of rounds whose window is open, from the stack that keeps them; none while it does not answer. */
export function updatesOfStack(api: Pick<Api, 'updates' | 'readStored'>, open: OpenUpdate): UpdateSource {
  return async (wanted) => {
    try {
      const stored = await api.updates(wanted.job, wanted.round);
      const own = stored.filter(({ runner }) => runner === wanted.runner);
      for (const { url } of own) {
        const bytes = open(await api.readStored(url), wanted);
        if (bytes) return bytes;
      }
    } catch (error) {
      if (!SILENT.some((code) => isRoundtableError(error, code))) throw error;
    }
    return null;
  };
}

/** A stack that does not answer, or not to this member, has no update for it. */
const SILENT = ['UNAVAILABLE', 'FORBIDDEN', 'NOT_FOUND'] as const;

/** The first that has it. */
export function firstOf(sources: readonly UpdateSource[]): UpdateSource {
  return async (wanted) => {
    for (const source of sources) {
      const found = await source(wanted);
      if (found) return found;
    }
    return null;
  };
}

/** @throws FORMAT_INVALID for a file that is not of the job and round in whose folder it lies */
function isBy({ job, round, runner }: WantedUpdate, bytes: Uint8Array, path: string): boolean {
  const { header } = decoded(bytes, path);
  if (header.job === job && header.round === round) return header.runner === runner;
  throw new RoundtableError(
    'FORMAT_INVALID',
    `${path} is the update of round ${header.round} of job ${header.job}; its folder says otherwise.`,
  );
}

function decoded(bytes: Uint8Array, path: string): ReturnType<typeof decodeUpdateFile> {
  try {
    return decodeUpdateFile(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RoundtableError('FORMAT_INVALID', `${path} cannot be read: ${reason}`, { cause });
  }
}

/** Without copying: a large model's update is read once. */
function bytesOf(path: string): Uint8Array {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.bin'))
    .map((name) => join(folder, name));
}
