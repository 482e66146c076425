/** Ending processes of a stack whose supervisor is gone, or asking a living one to end. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeLock } from './lock.js';
import { endGroup, groupMembers, isAlive } from './process.js';
import { lockPath, readParts, readStatus, writeParts, type PartRecord } from './record.js';
import { stopOrder } from './part.js';

/** Set for every part; tells its children apart from a stranger that got the number of its group. */
export const stateMark = 'ROUNDTABLE_STATE';

export interface StopResult {
  /** What was found: a running supervisor, processes without one, or nothing. */
  found: 'supervisor' | 'leftovers' | 'nothing';
  /** Names of parts that had to be ended from here. */
  ended: string[];
}

/**
 * Ends a stack from another process. A supervisor that does not end within the time is killed, and its parts
 * are ended from here.
 */
export async function stopStack(stateDir: string, options: { timeoutMs?: number } = {}): Promise<StopResult> {
  const { supervisor } = readStatus(stateDir);
  if (supervisor === null) {
    const ended = await endLeftovers(stateDir);
    return { found: ended.length > 0 ? 'leftovers' : 'nothing', ended };
  }
  process.kill(supervisor.pid, 'SIGTERM');
  const deadline = Date.now() + (options.timeoutMs ?? 60_000);
  while (isAlive(supervisor) && Date.now() < deadline) await sleep(50);
  if (isAlive(supervisor)) process.kill(supervisor.pid, 'SIGKILL');
  while (isAlive(supervisor)) await sleep(20);
  return { found: 'supervisor', ended: await endLeftovers(stateDir) };
}

/** Ends what a killed supervisor left; returns the names of the parts. Does nothing while one runs. */
export async function endLeftovers(stateDir: string): Promise<string[]> {
  const parts = readParts(stateDir);
  if (parts.length === 0) return [];
  const taken = takeLock(lockPath(stateDir));
  if (!('lock' in taken)) return [];
  try {
    return await endRecorded(stateDir, parts);
  } finally {
    taken.lock.release();
  }
}

/** For whoever holds the lock. */
export async function endRecorded(
  stateDir: string,
  parts: PartRecord[] = readParts(stateDir),
): Promise<string[]> {
  const ended: string[] = [];
  for (const role of stopOrder)
    await Promise.all(
      parts
        .filter((part) => part.role === role && isLeftover(stateDir, part))
        .map(async (part) => {
          ended.push(part.name);
          if (part.pid !== null) await endGroup(part.pid, { signal: 'SIGTERM', timeoutMs: 10_000 });
        }),
    );
  const since = new Date().toISOString();
  if (ended.length > 0)
    writeParts(
      stateDir,
      parts.map((part) => ({ ...part, pid: null, startTime: null, state: 'stopped', since })),
    );
  return ended;
}

function isLeftover(stateDir: string, { pid, startTime }: PartRecord): boolean {
  if (pid === null || startTime === null) return false;
  if (isAlive({ pid, startTime })) return true;
  // The leader is dead, but children of it (a training process) may live on in its group.
  return groupMembers(pid).some((member) => carriesMark(member, stateDir));
}

function carriesMark(pid: number, stateDir: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`${stateMark}=${stateDir}`);
  } catch {
    return false; // not Linux, or not ours
  }
}
