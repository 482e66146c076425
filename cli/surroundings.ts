import { openTraces } from '#services/telemetry/traces.js';
import type { Surroundings } from './command.js';
import { secretReader } from './terminal/secret.js';
import { openTerminal } from './terminal/terminal.js';

/** The process around a command line: its signals, its standard streams. */
export function openSurroundings(): Surroundings {
  const interrupt = new AbortController();
  process.on('SIGINT', () => interrupt.abort(new Error('interrupted')));
  process.on('SIGTERM', () => interrupt.abort(new Error('terminated')));
  // `roundtable logs | head` closes the pipe; that is an end, not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  return {
    terminal: openTerminal(process.env, process.stdout, process.stderr),
    environment: process.env,
    folder: process.cwd(),
    readInput,
    askSecret: secretReader(process.stdin, process.stderr),
    signal: interrupt.signal,
    traces: openTraces('cli', (message) => void process.stderr.write(`${message}\n`)),
  };
}

async function readInput(): Promise<string> {
  let text = '';
  for await (const piece of process.stdin.setEncoding('utf8')) text += String(piece);
  return text;
}
