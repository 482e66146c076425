import { CommanderError, type Command } from 'commander';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { printable } from '#core/printable.js';
import { CheckFailed, contextOf, UsageError, type Context, type Surroundings } from './command.js';
import { wrap } from './terminal/text.js';
import { paint } from './terminal/theme.js';

/** A verb: adds itself to the program and hands its work to `does`. */
export type Verb = (program: Command, does: Does) => void;
/** Wraps a verb's work into commander's action: positional arguments first, then its own options. */
export type Does = <Options extends object = object>(
  work: (context: Context, options: Options, ...given: string[]) => Promise<void> | void,
) => (this: Command, ...given: unknown[]) => Promise<void>;

/**
 * Runs one command line. @param argv without `node` and the script
 * @returns the exit code: 0 done, 1 an error or a check that failed, 2 wrong usage, 130 interrupted
 */
export async function runProgram(
  program: Command,
  verbs: readonly Verb[],
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const { terminal } = surroundings;
  const does: Does = (work) =>
    async function (this: Command) {
      const given = this.processedArgs.map((argument: unknown) => String(argument ?? ''));
      await work(contextOf(this, surroundings), this.opts(), ...given);
    };
  for (const verb of verbs) verb(program, does);
  applyToAll(program, (command) =>
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.writeError(text),
      getOutHelpWidth: () => terminal.theme().columns,
      getErrHelpWidth: () => terminal.theme().columns,
    }),
  );
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    const { json, debug } = program.opts<{ json?: boolean; debug?: boolean }>();
    return report(error, surroundings, { json: json === true, debug: debug === true });
  } finally {
    await surroundings.traces?.flush();
  }
}

function report(
  error: unknown,
  { terminal, signal }: Surroundings,
  how: { json: boolean; debug: boolean },
): number {
  if (error instanceof CheckFailed) return 1;
  if (signal.aborted) return 130;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (how.debug && error instanceof Error) terminal.writeError(`${stackOf(error)}\n`);
  const theme = terminal.theme();
  if (error instanceof UsageError) {
    terminal.writeError(`${paint(theme, 'red', 'error')}: ${error.message}\n`);
    return 2;
  }
  const known = isRoundtableError(error)
    ? error
    : new RoundtableError(
        'INTERNAL',
        `${error instanceof Error ? error.message : String(error)} (--debug shows where)`,
        {
          cause: error,
        },
      );
  if (how.json) {
    terminal.writeError(
      `${JSON.stringify({ error: { code: known.code, message: known.message, details: known.details } })}\n`,
    );
    return 1;
  }
  const [first = '', ...more] = wrap(
    `error ${known.code}: ${printable(known.message)}`,
    Math.max(40, theme.columns),
  );
  terminal.writeError(first.replace(/^error \S+/, (head) => paint(theme, 'red', head)) + '\n');
  for (const line of more) terminal.writeError(`${line}\n`);
  return 1;
}

function applyToAll(command: Command, change: (command: Command) => void): void {
  change(command);
  for (const child of command.commands) applyToAll(child, change);
}

/** The error with what caused it, and what caused that. */
function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
