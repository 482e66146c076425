import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { RoundtableError } from '#core/errors.js';
import { readStackFile, type StackFile } from '#local/stackFile.js';
import { noTraces, type Traces } from '#services/telemetry/traces.js';
import { openApi, type Api } from './api.js';
import { openProgress, progressModes, type Progress, type ProgressMode } from './progress/progress.js';
import type { Terminal } from './terminal/terminal.js';

/** What the process around a command gives it. */
export interface Surroundings {
  terminal: Terminal;
  environment: Readonly<Record<string, string | undefined>>;
  folder: string;
  /** All of standard input, for a secret that is piped in. */
  readInput(): Promise<string>;
  /** Asks the person for a secret without showing it; null when nobody sits there. */
  askSecret?: ((prompt: string) => Promise<string>) | null;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  /** What of a command belongs to a job's trace; nothing is told if left out. */
  traces?: Traces;
}

/** What a verb works with: where it writes, which stack it means, how the person wants to read the answer. */
export interface Context extends Surroundings {
  traces: Traces;
  json: boolean;
  /** Absolute path of the state folder. */
  state: string;
  /** @throws NOT_FOUND when there is no stack in the state folder */
  stack(): StackFile;
  api(): Api;
  progress(): Progress;
  /** Lines for people, or with --json the value as one line of JSON. */
  print(value: unknown, lines: () => readonly string[]): void;
}

/** A verb ended with an answer that is not good: exit code 1 after everything was printed. */
export class CheckFailed extends Error {}

/** A verb was called with arguments that make no sense together: exit code 2. */
export class UsageError extends Error {}

export function createProgram(): Command {
  return new Command('roundtable')
    .description(
      'Organisations train AI together without trusting each other and without giving away their data.',
    )
    .addOption(
      new Option('--state <dir>', "the stack's folder (default: $ROUNDTABLE_STATE, or .roundtable here)"),
    )
    .addOption(
      new Option('--progress <how>', 'how long work is shown: live where the terminal allows it, or as lines')
        .choices(progressModes)
        .default('auto'),
    )
    .option('--json', 'print JSON')
    .option('--debug', 'print where an error came from')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError('Add --help for how it is used.');
}

/** Adds one verb with an example in its help. */
export function addVerb(parent: Command, usage: string, description: string, ...examples: string[]): Command {
  const lines = examples.map((example) => `  $ roundtable ${example}`).join('\n');
  return parent.command(usage).description(description).addHelpText('after', `\nExample:\n${lines}`);
}

/** Options that every verb knows. */
interface GlobalOptions {
  state?: string;
  progress: ProgressMode;
  json?: boolean;
}

export function contextOf(command: Command, surroundings: Surroundings): Context {
  const { state, progress, json: asked } = command.optsWithGlobals<GlobalOptions>();
  const json = asked === true || progress === 'json';
  const { environment, folder, terminal } = surroundings;
  const stateFolder = resolve(folder, state ?? environment['ROUNDTABLE_STATE'] ?? '.roundtable');
  let known: StackFile | undefined;
  const stack = () => (known ??= readStackFile(stateFolder));
  return {
    ...surroundings,
    traces: surroundings.traces ?? noTraces,
    json,
    state: stateFolder,
    stack,
    api: () =>
      openApi({ url: stack().api, audience: stack().coordinator, keyFile: stack().keys.coordinator }),
    progress: () => openProgress(json ? 'json' : progress, terminal),
    print(value, lines) {
      if (json) terminal.write(`${JSON.stringify(value)}\n`);
      else if (progress !== 'quiet') for (const line of lines()) terminal.write(`${line}\n`);
    },
  };
}

/**
 * The one thing whose id begins with what a person typed.
 * @throws NOT_FOUND for none, CONFLICT for several
 */
export function resolveId<T>(
  what: string,
  typed: string,
  things: readonly T[],
  idOf: (thing: T) => string,
): T {
  const start = typed.toLowerCase().startsWith('0x') ? typed.toLowerCase() : `0x${typed.toLowerCase()}`;
  const found = things.filter((thing) => idOf(thing).startsWith(start));
  const [first, second] = found;
  if (first === undefined)
    throw new RoundtableError(
      'NOT_FOUND',
      `No ${what} has an id that begins with ${start}. \`roundtable ${what} list\` shows them.`,
    );
  if (second !== undefined && !found.every((thing) => idOf(thing) === idOf(first)))
    throw new RoundtableError(
      'CONFLICT',
      `${found.length} ids begin with ${start}; type more of the one you mean.`,
    );
  return first;
}
