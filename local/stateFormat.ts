import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { replaceFile } from './supervisor/file.js';

/** Raised with every change by which a state folder of before cannot be gone on with: contracts, rows, histories. */
const FORMAT = 2;

/**
 * STATE/format says which one a folder has; a folder without a stack gets this one's.
 * @throws STATE_OTHER_VERSION, before anything in the folder is touched
 */
export function checkStateFormat(stateDir: string): void {
  const path = join(stateDir, 'format');
  const found = existsSync(join(stateDir, 'deployment.json')) ? formatIn(path) : FORMAT;
  if (found !== FORMAT)
    throw new RoundtableError(
      'STATE_OTHER_VERSION',
      `${stateDir} was made by another version of Roundtable (its format is ${found}, this version has ${FORMAT}). ` +
        'Go on with it in that version, or forget it and begin anew with --fresh.',
      { details: { expected: FORMAT, actual: found } },
    );
  replaceFile(path, `${FORMAT}\n`);
}

/** The first version wrote none. */
function formatIn(path: string): number {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 1;
}
