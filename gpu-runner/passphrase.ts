import { RoundtableError } from '#core/errors.js';
import type { Passphrase } from './keystore.js';
import { readSecretFile } from './secretFile.js';

/**
 * Where the passphrase of the runner's key comes from: a file, the environment, or a person; never an argument,
 * which every user of a machine can read.
 * @param ask a person at a terminal; null when nobody is there
 * @returns a function that throws PASSPHRASE_MISSING, KEY_EXPOSED
 */
export function passphraseFrom(
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
  ask: ((prompt: string) => Promise<string>) | null,
): Passphrase {
  return async () => {
    const path = file ?? environment['ROUNDTABLE_PASSPHRASE_FILE'];
    const given = path === undefined ? environment['ROUNDTABLE_PASSPHRASE'] : await readSecretFile(path);
    if (given === null) throw new RoundtableError('PASSPHRASE_MISSING', `${path} does not exist.`);
    if (given !== undefined && given !== '') return given;
    if (ask) return ask("Passphrase of the runner's key: ");
    throw new RoundtableError(
      'PASSPHRASE_MISSING',
      "The runner's key is encrypted. Give its passphrase at a terminal, in a file (--passphrase-file, or ROUNDTABLE_PASSPHRASE_FILE) or in ROUNDTABLE_PASSPHRASE.",
    );
  };
}
