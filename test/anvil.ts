import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { JsonRpcProvider } from 'ethers';
import { chainPart } from '#local/emulators/chain.js';

/** A real anvil on a free port, as the local stack starts it, with its state in a temporary folder. */
export interface Anvil {
  url: string;
  provider: JsonRpcProvider;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same port from what its state file holds. */
  start(): Promise<void>;
  /** SIGSTOP: it takes connections and answers none of them. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Path of the state file, which anvil writes once a second. */
  stateFile: string;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** @param hardfork pins the EVM's rules, for gas figures. */
export async function startAnvil(options: { hardfork?: string } = {}): Promise<Anvil> {
  const stateDir = mkdtempSync(join(tmpdir(), 'roundtable-anvil-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const part = chainPart({ port, stateDir });
  const provider = new JsonRpcProvider(url, 31337, {
    staticNetwork: true,
    batchMaxCount: 1,
    cacheTimeout: -1,
  });
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();

  const anvil: Anvil = {
    url,
    provider,
    stateFile: join(stateDir, 'chain.json'),
    start: async () => {
      await part.prepare?.();
      const ends = new AbortController();
      const started = spawn(
        part.command,
        [...part.args, ...(options.hardfork ? ['--hardfork', options.hardfork] : [])],
        {
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      child = started;
      const exited = new Promise<void>((resolve) =>
        started.once('exit', () => {
          ends.abort();
          resolve();
        }),
      );
      ended = Promise.all([exited, part.tend?.(ends.signal)]);
      await answering(url, ends.signal);
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill: async () => {
      child?.kill('SIGKILL');
      await ended;
    },
    stop: async () => {
      provider.destroy();
      await anvil.kill();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
  await anvil.start();
  return anvil;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(url: string, ended: AbortSignal): Promise<void> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] });
  for (;;) {
    if (ended.aborted) throw new Error('anvil ended before it answered');
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    }).catch(() => null);
    if (answer?.ok) return;
    await pause(20);
  }
}
