import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { afterAll } from '@jest/globals';
import type { Part } from '#local/supervisor/part.js';

const running = new Set<ChildProcess>();
afterAll(async () => {
  await Promise.all([...running].map((child) => endChild(child, 'SIGKILL')));
});

/** Runs a part of the local stack without its supervisor; it ends with the tests of the file. */
export async function startPart(part: Part): Promise<ChildProcess> {
  const child = spawn(part.command, part.args, {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...part.env },
    stdio: 'ignore',
  });
  running.add(child);
  const gone = new AbortController();
  child.once('exit', () => gone.abort(new Error(`${part.name} ended`)));
  await part.ready({
    signal: AbortSignal.any([gone.signal, AbortSignal.timeout(30_000)]),
    onLine: () => undefined,
  });
  return child;
}

export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await exited;
}

export function track(child: ChildProcess): ChildProcess {
  running.add(child);
  return child;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
