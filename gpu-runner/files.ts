import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { errorNumber } from './failures.js';

/**
 * Writes a file so that after a power cut it is there as a whole or not at all.
 * @throws DISK_FULL, leaving nothing behind
 */
export async function writeDurably(path: string, data: Uint8Array | string, mode = 0o644): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, 'w', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw diskError(error, path);
  }
}

/** DISK_FULL for an error that says so, the error itself otherwise. */
export function diskError(error: unknown, path: string): unknown {
  const code = errorNumber(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new RoundtableError(
    'DISK_FULL',
    `No space is left to write ${path}. Free some; the runner tries again.`,
    {
      cause: error,
    },
  );
}

/** A rename lasts once its folder is on the disk; some file systems cannot sync folders and need not. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } catch (error) {
    if (errorNumber(error) !== 'EINVAL' && errorNumber(error) !== 'EPERM') throw error;
  } finally {
    await folder.close();
  }
}
