/** The chain: anvil, its state in a file. */
import { copyFile, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RoundtableError } from '#core/errors.js';
import type { Part } from '../supervisor/part.js';
import { tcp } from '../supervisor/ready.js';
import { packageBinary } from './binary.js';

export const localChainId = 31337;

/**
 * Mines a block for each transaction. A kill loses the last second's blocks, which whoever reads the chain sees
 * as a reorganisation. anvil writes its state file in place, so a kill can also leave it cut short: a whole copy
 * is kept beside it and taken instead.
 */
export function chainPart(options: { port: number; stateDir: string }): Part {
  const state = join(options.stateDir, 'chain.json');
  return {
    name: 'chain',
    role: 'service',
    command: packageBinary({
      package: `@foundry-rs/anvil-${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`,
      file: 'bin/anvil',
      stands: 'the chain',
      of: '@foundry-rs/anvil',
    }),
    // --quiet: its log would show the keys of its accounts.
    args: [
      '--quiet',
      '--host',
      '127.0.0.1',
      '--port',
      String(options.port),
      '--chain-id',
      String(localChainId),
    ].concat(['--state', state, '--state-interval', '1']),
    env: {},
    ready: tcp(options.port),
    prepare: () => restoreState(state),
    tend: (signal) => keepCopy(state, signal),
  };
}

/** Puts the copy in place of a state file that was cut short. */
export async function restoreState(state: string): Promise<void> {
  const whole = await isWhole(state);
  if (whole === true) return;
  const copied = await isWhole(copyOf(state));
  if (copied === true) return copyFile(copyOf(state), state);
  if (whole === undefined && copied === undefined) return; // the first start
  if (whole === false && copied === undefined && (await stat(state)).size === 0) return rm(state);
  throw new RoundtableError(
    'CHAIN_STATE_DAMAGED',
    `Neither ${state} nor ${copyOf(state)} holds a whole state of the local chain. ` +
      'Restore one of them from a backup, or start afresh with another state folder.',
    { details: { state } },
  );
}

const copyOf = (state: string): string => `${state}.copy`;

/** Copies the state file after each change, once anvil has ended writing. */
async function keepCopy(state: string, signal: AbortSignal): Promise<void> {
  let copied = 0;
  while (!signal.aborted) {
    await sleep(300, undefined, { signal }).catch(() => undefined);
    const before = await stat(state).catch(() => undefined);
    if (before === undefined || before.mtimeMs === copied || Date.now() - before.mtimeMs < 100) continue;
    if (signal.aborted || !(await endsLikeAnObject(state, before.size))) continue;
    await copyFile(state, `${copyOf(state)}.new`);
    const after = await stat(state);
    if (after.mtimeMs !== before.mtimeMs || after.size !== before.size) continue;
    await rename(`${copyOf(state)}.new`, copyOf(state));
    copied = before.mtimeMs;
  }
}

/** Undefined when there is no such file. */
async function isWhole(path: string): Promise<boolean | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function endsLikeAnObject(path: string, size: number): Promise<boolean> {
  const file = await open(path);
  try {
    const end = Buffer.alloc(1);
    await file.read(end, 0, 1, Math.max(0, size - 1));
    return end.toString() === '}';
  } finally {
    await file.close();
  }
}
