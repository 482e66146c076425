import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { RoundtableError } from '#core/errors.js';

/**
 * Replaces a file in one step: a reader, and a crash, see the old text or the new one.
 *
 * @throws DISK_FULL, when the old text is still there
 */
export function replaceFile(path: string, text: string): void {
  writeText(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** @throws DISK_FULL, when no file is left behind */
export function writeText(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    rmSync(path, { force: true });
    throw new RoundtableError(
      'DISK_FULL',
      `No space is left on the disk for ${path}. What was written before is unharmed; free some space and start again.`,
      { cause: error, details: { path } },
    );
  }
}
