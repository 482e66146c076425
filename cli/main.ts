#!/usr/bin/env node
import { runCommand } from './run.js';
import { openTerminal } from './terminal/terminal.js';

// The SDK of AWS tells everybody on Node 20 that it will want 22 some day; that is for us, not for them.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const interrupt = new AbortController();
process.on('SIGINT', () => interrupt.abort(new Error('interrupted')));
process.on('SIGTERM', () => interrupt.abort(new Error('terminated')));
// `roundtable logs | head` closes the pipe; that is an end, not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

async function readInput(): Promise<string> {
  let text = '';
  for await (const piece of process.stdin.setEncoding('utf8')) text += String(piece);
  return text;
}

process.exitCode = await runCommand(process.argv.slice(2), {
  terminal: openTerminal(process.env, process.stdout, process.stderr),
  environment: process.env,
  folder: process.cwd(),
  readInput,
  signal: interrupt.signal,
});
