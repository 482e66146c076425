/**
 * Processes as the operating system sees them. A pid alone names nothing for long: it is used again. With the
 * time at which the process began it is unique.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process, also when read by another one. */
  readonly startTime: string;
}

/** Undefined when there is no such process, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = onLinux ? linuxStat(pid)?.startTime : psStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** Living processes of a group; a group outlives its leader as long as one member does. */
export function groupMembers(group: number): number[] {
  if (onLinux)
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => linuxStat(pid)?.group === group);
  return psLines(['-A', '-o', 'pid=,pgid=,stat='])
    .map((line) => line.trim().split(/\s+/))
    .filter(([, pgid, stat]) => Number(pgid) === group && !stat?.startsWith('Z'))
    .map(([pid]) => Number(pid));
}

/** False when nobody was left to get the signal. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-group, signal);
  } catch {
    return false; // ESRCH, or EPERM for a group of zombies on macOS
  }
}

/** Asks a group to end, waits, then kills. Returns when no member is left, at the latest 10 s after the kill. */
export async function endGroup(
  group: number,
  options: { signal: NodeJS.Signals; timeoutMs: number },
): Promise<void> {
  signalGroup(group, options.signal);
  const deadline = Date.now() + options.timeoutMs;
  while (groupIsAlive(group)) {
    const over = Date.now() - deadline;
    if (over >= 10_000) return; // stuck in the kernel: nothing more can be done from here
    if (over >= 0) signalGroup(group, 'SIGKILL');
    await sleep(20);
  }
}

function groupIsAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch {
    return false;
  }
  // A group of nothing but zombies takes signals too.
  return identify(group) !== undefined || groupMembers(group).length > 0;
}

const onLinux = existsSync('/proc/self/stat');
/** Ticks are counted from boot, so a process of an earlier boot could have the same. */
const boot = onLinux ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() : '';

function linuxStat(pid: number): { group: number; startTime: string } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // proc(5): the name in parentheses may hold anything, so count from the last one: state is field 3.
  const [state, , group, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') return undefined;
  return { group: Number(group), startTime: `${boot}:${rest[16]}` };
}

function psStartTime(pid: number): string | undefined {
  const [line] = psLines(['-p', String(pid), '-o', 'stat=,lstart=']);
  const [, stat, started] = /^\s*(\S+)\s+(.+?)\s*$/.exec(line ?? '') ?? [];
  return stat?.startsWith('Z') ? undefined : started;
}

function psLines(args: string[]): string[] {
  try {
    return execFileSync('ps', args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return []; // ps ends with 1 when nothing matches
  }
}
