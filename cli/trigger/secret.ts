import { resolve } from 'node:path';
import { UsageError, type Context } from '../command.js';

/**
 * A trigger's secret from a file, the environment or standard input: never from an argument, which everybody on
 * the machine could read. On a terminal it is asked for.
 */
export async function readSecret(
  context: Context,
  file: string | undefined,
  read: (path: string) => string,
): Promise<string> {
  const fromEnvironment = context.environment['ROUNDTABLE_TRIGGER_SECRET'];
  const text =
    file !== undefined ? read(resolve(context.folder, file)) : (fromEnvironment ?? (await asked(context)));
  const secret = text.trim();
  if (secret === '')
    throw new UsageError(
      'The secret is empty. Give it with --secret-file, in ROUNDTABLE_TRIGGER_SECRET or on standard input.',
    );
  return secret;
}

async function asked(context: Context): Promise<string> {
  if (context.terminal.isInteractive) context.terminal.writeError('Secret of the trigger, then Ctrl-D: ');
  return context.readInput();
}
