import { readFileSync } from 'node:fs';

/**
 * The most memory that this process has held so far, in bytes. On Linux by VmHWM (proc(5)): the maximum that getrusage(2)
 * gives begins with that of the process that started this one.
 */
export function peakMemory(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kilobytes !== undefined) return 1024 * Number(kilobytes);
  } catch {
    // Not Linux.
  }
  return 1024 * process.resourceUsage().maxRSS;
}
