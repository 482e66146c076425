import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** What the training process may take. The model decides how much it asks for, and models come from others. */
export interface Allowance {
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** Wall clock of one request. */
  readonly seconds: number;
}

/** Three quarters of what this machine, or its container, has: the rest is for the process that must go on. */
export function defaultMemory(): number {
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return Math.floor(0.75 * (constrained > 0 && constrained < total ? constrained : total));
}

/**
 * Watches a process while it serves a request, and calls back once, saying why, when it takes more than it may.
 * Nothing inside the process could do that: a run of onnxruntime neither returns early nor counts its memory. Where
 * there is no /proc, only the time is watched.
 * @returns the call that ends the watch
 */
export function watch(child: ChildProcess, limits: Allowance, exceeded: (why: string) => void): () => void {
  const deadline = Date.now() + 1_000 * limits.seconds;
  const timer = setInterval(() => {
    const memory = residentBytes(child.pid);
    const why =
      memory > limits.memoryBytes
        ? `took ${gigabytes(memory)} of memory, and may take ${gigabytes(limits.memoryBytes)}`
        : Date.now() > deadline
          ? `was not done after ${limits.seconds} s`
          : null;
    if (why === null) return;
    clearInterval(timer);
    exceeded(why);
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** A process can fill some hundred megabytes in between. */
const EVERY_MS = 100;

/** 0 when the process has ended, or the system does not tell. */
function residentBytes(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
