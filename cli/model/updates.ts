import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import type { UpdateSource, WantedUpdate } from '#audit/index.js';

/**
 * Update files in folders, at any depth: `JOB/ROUND/update.bin`, as runners keep them in their work, or
 * `UPDATE_ROOT.bin`. What a file's place says of it must be true: anything else is an error, not a missing update.
 */
export function updatesIn(folders: readonly string[]): UpdateSource {
  let files: string[] | undefined;
  return async (wanted) => {
    files ??= folders.flatMap(filesBelow);
    const named = files.find((file) => file.endsWith(`/${wanted.updateRoot}.bin`));
    if (named !== undefined) return bytesOf(named);
    const ofRound = files.filter((file) =>
      file.endsWith(`${wanted.job.slice(2)}/${wanted.round}/update.bin`),
    );
    for (const file of ofRound) {
      const bytes = bytesOf(file);
      if (isBy(wanted, bytes, file)) return bytes;
    }
    return null;
  };
}

/** Update files of a server: `URL/UPDATE_ROOT.bin`; 404 for one that it does not have. */
export function updatesAt(url: string): UpdateSource {
  return async ({ updateRoot }) => {
    const address = `${url.replace(/\/+$/, '')}/${updateRoot}.bin`;
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
    return new Uint8Array(await response.arrayBuffer());
  };
}

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
