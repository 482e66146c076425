import { runCommand } from '#cli/runCommand.js';
import type { Terminal } from '#cli/terminal/terminal.js';

/** What a person saw of one command line. */
export interface Seen {
  code: number;
  out: string;
  err: string;
  /** The last line of standard output, as JSON. */
  json<T>(): T;
}

/** Types a command line, as at a terminal of 100 columns without colour. */
export async function type(
  argv: readonly string[],
  options: {
    folder?: string;
    environment?: Record<string, string>;
    input?: string;
    signal?: AbortSignal;
  } = {},
): Promise<Seen> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
    theme: () => ({ color: false, unicode: true, columns: 100 }),
    rows: () => 40,
    canRedraw: false,
    isInteractive: false,
  };
  const code = await runCommand(argv, {
    terminal,
    environment: options.environment ?? {},
    folder: options.folder ?? process.cwd(),
    readInput: () => Promise.resolve(options.input ?? ''),
    signal: options.signal ?? new AbortController().signal,
  });
  return { code, out, err, json: <T>() => JSON.parse(out.trim().split('\n').at(-1) ?? 'null') as T };
}
