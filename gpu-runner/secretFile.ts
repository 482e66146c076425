import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { errorNumber } from './failures.js';

/**
 * A file that only its owner may read, without white space around its text; null when there is none.
 * @throws KEY_EXPOSED; the message never shows what is in it
 */
export async function readSecretFile(path: string): Promise<string | null> {
  try {
    const { mode } = await stat(path);
    // Windows has no such bits and reports 0666 for every file.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0 && !isCredential(path))
      throw new RoundtableError(
        'KEY_EXPOSED',
        `${path} has the mode ${(mode & 0o777).toString(8)}: others on this machine can reach what it keeps secret. Run: chmod 600 ${path}`,
      );
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') return null;
    throw error;
  }
}

/** systemd shows a service's credentials to that service alone, by an access list that the mode's group bits reflect. */
function isCredential(path: string): boolean {
  const folder = process.env['CREDENTIALS_DIRECTORY'];
  return folder !== undefined && dirname(path) === folder;
}
