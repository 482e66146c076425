import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface GatewayProcess {
  readonly port: number;
  readonly url: string;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

/** Starts the built gateway and waits until it listens. */
export async function startGateway(folder: string, port = 0): Promise<GatewayProcess> {
  const child = spawn(process.execPath, ['dist/local/gateway.js'], {
    env: { PATH: process.env['PATH'], GATEWAY_DATA: folder, GATEWAY_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  const actual = await listeningPort(child);
  return {
    port: actual,
    url: `http://127.0.0.1:${actual}`,
    kill: () => kill(child),
  };
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'roundtable-gateway-'));
  folders.add(folder);
  return folder;
}

/** For afterAll: no process and no folder outlives its test. */
export async function endGateways(): Promise<void> {
  await Promise.all([...running].map(kill));
  await Promise.all([...folders].map((folder) => rm(folder, { recursive: true, force: true })));
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();

async function listeningPort(child: ChildProcess): Promise<number> {
  const lines: string[] = [];
  if (child.stdout)
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      const { msg, port } = JSON.parse(line) as { msg: string; port?: number };
      if (msg === 'listening' && port !== undefined) {
        child.stdout.resume();
        return port;
      }
    }
  throw new Error(`the gateway did not start: ${lines.join('\n')}`);
}

async function kill(child: ChildProcess): Promise<void> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
