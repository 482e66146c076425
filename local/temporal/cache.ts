/** Where servers that were downloaded or built are kept: outside the checkout, for every one of them. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeLock } from '../supervisor/lock.js';
import { reportProgress, type OnProgress } from './way.js';

type Environment = Readonly<Record<string, string | undefined>>;

export function cacheFolder(env: Environment): string {
  if (env['ROUNDTABLE_CACHE']) return env['ROUNDTABLE_CACHE'];
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'roundtable');
  return join(env['HOME'] ?? homedir(), '.cache', 'roundtable');
}

/** The path of a program in the cache, whether it is there or not. */
export const cachedPath = (folder: string, version: string): string =>
  join(folder, `temporal-${version}-${process.platform}-${process.arch}`);

/**
 * Lets `make` write the program to a path beside its place and moves it there, so that what lies in the cache is
 * whole. Of several processes one makes it and the others wait.
 */
export async function makeOnce(
  path: string,
  make: (draft: string) => Promise<void>,
  onProgress: OnProgress,
): Promise<void> {
  const folder = join(path, '..');
  mkdirSync(folder, { recursive: true });
  const waiting = reportProgress('waiting', null, onProgress);
  try {
    for (;;) {
      if (existsSync(path)) return;
      const taken = takeLock(`${path}.lock`);
      if ('lock' in taken) {
        waiting.end();
        try {
          await makeDraft(path, make);
        } finally {
          taken.lock.release();
        }
        return;
      }
      waiting.detail(`process ${taken.holder.pid} is making the same program`);
      await sleep(500);
    }
  } finally {
    waiting.end();
  }
}

async function makeDraft(path: string, make: (draft: string) => Promise<void>): Promise<void> {
  if (existsSync(path)) return;
  const folder = join(path, '..');
  // Drafts of processes that were killed; nobody else writes one while we hold the lock.
  for (const name of readdirSync(folder))
    if (join(folder, name).startsWith(`${path}.draft`)) rmSync(join(folder, name), { recursive: true });
  const draft = `${path}.draft-${process.pid}`;
  try {
    await make(draft);
    renameSync(draft, path);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
