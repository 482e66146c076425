import { join, resolve } from 'node:path';
import { existsSync } from 'node:fs';
import { RoundtableError } from '#core/errors.js';
import type { Passphrase } from '#gpu-runner/keystore.js';
import { passphraseFrom } from '#gpu-runner/passphrase.js';
import { readRunnerHome, type RunnerHome } from '#gpu-runner/runnerHome.js';
import type { Context } from '../command.js';

/** The folder that a person means: named, in RUNNER_HOME, here, or `runner` here. */
export function homeFolder(context: Context, given: string): string {
  const named = given || context.environment['RUNNER_HOME'];
  if (named) return resolve(context.folder, named);
  if (existsSync(join(context.folder, 'runner.yaml'))) return context.folder;
  return resolve(context.folder, 'runner');
}

/** @throws HOME_INVALID with every mistake */
export async function openHome(context: Context, given: string): Promise<RunnerHome> {
  const folder = homeFolder(context, given);
  if (!existsSync(join(folder, 'runner.yaml')))
    throw new RoundtableError(
      'HOME_INVALID',
      `There is no runner in ${folder}: runner.yaml is missing. \`roundtable-runner init\` makes one.`,
    );
  return readRunnerHome(folder);
}

/** Asked for once, however often it is needed. */
export function passphraseOf(context: Context, file: string | undefined): Passphrase {
  const path = file === undefined ? undefined : resolve(context.folder, file);
  const ask = passphraseFrom(context.environment, path, context.askSecret ?? null);
  let known: Promise<string> | undefined;
  return () => (known ??= ask());
}

/** A passphrase that a person chooses: asked twice where it is typed. @throws INVALID_INPUT when the two differ */
export function newPassphraseOf(context: Context, file: string | undefined): Passphrase {
  const ask = context.askSecret;
  return async () => {
    const path = file === undefined ? undefined : resolve(context.folder, file);
    const chosen = await passphraseFrom(
      context.environment,
      path,
      ask
        ? async () => {
            const first = await ask("Choose a passphrase for the runner's key: ");
            const second = await ask('Type it again: ');
            if (first !== second)
              throw new RoundtableError('INVALID_INPUT', 'The two passphrases differ. Nothing was made.');
            return first;
          }
        : null,
    )();
    if (chosen.length < 8)
      throw new RoundtableError('INVALID_INPUT', 'A passphrase has at least 8 characters. Nothing was made.');
    return chosen;
  };
}
