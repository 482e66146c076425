/** A lock file that its holder's death releases: it names the holder by pid and start time. */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { writeText } from './file.js';
import { identify, isAlive, type ProcessIdentity } from './process.js';

export interface LockHolder extends ProcessIdentity {
  /** ISO time at which the lock was taken. */
  readonly since: string;
}

export interface FileLock {
  release(): void;
}

/** The lock, or who has it. Never waits. */
export function takeLock(path: string): { lock: FileLock } | { holder: LockHolder } {
  const mine = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  const self = identify(process.pid);
  if (self === undefined) throw new Error('this process cannot be identified');
  const content = JSON.stringify({ ...self, since: new Date().toISOString() });
  writeText(mine, content);
  try {
    for (;;) {
      if (linkTo(mine, path)) return { lock: { release: () => releaseIfOurs(path, content) } };
      const text = readText(path);
      if (text === undefined) continue; // released this moment
      const holder = parseHolder(text);
      if (holder !== undefined && isAlive(holder)) return { holder };
      discardStale(path, text);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

export function readLock(path: string): LockHolder | undefined {
  const holder = parseHolder(readText(path) ?? '');
  return holder !== undefined && isAlive(holder) ? holder : undefined;
}

/** A link appears whole or not at all, so nobody reads a lock half written. */
function linkTo(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves the dead holder's lock away. If a faster process has replaced it meanwhile, its lock is put back. */
function discardStale(path: string, stale: string): void {
  const aside = `${path}.stale.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readText(aside) !== stale) linkTo(aside, path);
  rmSync(aside, { force: true });
}

function releaseIfOurs(path: string, content: string): void {
  if (readText(path) === content) rmSync(path, { force: true });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function parseHolder(text: string): LockHolder | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockHolder> | null;
    if (typeof value?.pid === 'number' && typeof value.startTime === 'string')
      return { pid: value.pid, startTime: value.startTime, since: String(value.since) };
  } catch {
    // not a lock of ours: it holds nobody
  }
  return undefined;
}
