import { readdirSync, readFileSync } from 'node:fs';
import type { LocalStack } from '#local/stack.js';

/** What the kernel knows of running processes (Linux). */

/** A quantity of every process, summed over each part of a stack. */
export function byPart({ supervisor }: LocalStack, of: (pid: number) => number): Map<string, number> {
  return new Map(
    supervisor
      .status()
      .map(({ name, pid }) => [
        name,
        pid === null ? 0 : family(pid).reduce((sum, member) => sum + of(member), 0),
      ]),
  );
}

/** A process and everything below it; empty once it has ended. */
function family(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
    return [pid, ...children.flatMap(family)];
  } catch {
    return [];
  }
}

/** Proportional set size in bytes: pages shared by n processes count 1/n. */
export function proportionalSetSize(pid: number): number {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** User and system time of a process so far, in seconds (the kernel counts hundredths). */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}
