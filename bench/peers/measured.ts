import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { proportionalSetSize } from '../processes.js';

/** What a command and everything it started used. */
export interface Usage {
  /** Times in seconds since 1970. */
  readonly started: number;
  readonly ended: number;
  readonly exitCode: number | null;
  readonly cpuSeconds: number;
  /** Highest sum of proportional set sizes: pages that processes share count once. */
  readonly peakBytes: number;
  readonly processes: number;
}

/** Sampling may cost a tenth of a processor at most, and reading PSS walks page tables: it pauses ten times as long. */
const shareOfSampling = 0.1;
const pauseMs = 250;

/** Runs a command to its end and measures its tree of processes, daemons that leave it included. */
export async function measured(
  [command = '', ...args]: readonly string[],
  { env, log }: { env: Record<string, string>; log: string },
): Promise<Usage> {
  const output = openSync(log, 'w');
  const started = Date.now() / 1000;
  const waitedBefore = waitedFor();
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output],
  });
  const tree = new ProcessTree(child.pid ?? 0);
  const ended = new Promise<'ended'>((resolve, reject) => {
    child.once('error', reject).once('exit', () => resolve('ended'));
  });
  let memoryAt = 0;
  do {
    tree.look();
    const before = Date.now();
    if (before >= memoryAt) {
      tree.weigh();
      memoryAt = Date.now() + Math.max(pauseMs, (Date.now() - before) / shareOfSampling);
    }
  } while ((await Promise.race([sleep(pauseMs), ended])) !== 'ended');
  closeSync(output);
  return {
    started,
    ended: Date.now() / 1000,
    exitCode: child.exitCode,
    // Short processes fall between two looks, daemons are waited for by nobody: each way of counting misses some.
    cpuSeconds: Math.max(tree.cpuSeconds(), waitedFor() - waitedBefore),
    peakBytes: tree.peakBytes,
    processes: tree.most,
  };
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  /** Tells a process from a later one with the same number. */
  readonly key: string;
  readonly cpuSeconds: number;
}

/** The descendants of a process; who was one stays one when its parent ends. */
class ProcessTree {
  peakBytes = 0;
  most = 0;
  readonly #cpu = new Map<string, number>();
  #alive: number[] = [];

  constructor(private readonly root: number) {}

  look(): void {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const found = all.flatMap((name) => readStat(Number(name)));
    const inside = new Set(
      found.filter(({ pid, key }) => pid === this.root || this.#cpu.has(key)).map(({ pid }) => pid),
    );
    for (let before = -1; before !== inside.size;) {
      before = inside.size;
      for (const { pid, parent } of found) if (inside.has(parent)) inside.add(pid);
    }
    const members = found.filter(({ pid }) => inside.has(pid));
    for (const { key, cpuSeconds } of members) this.#cpu.set(key, cpuSeconds);
    this.#alive = members.map(({ pid }) => pid);
    this.most = Math.max(this.most, members.length);
  }

  weigh(): void {
    const bytes = this.#alive.reduce((sum, pid) => sum + proportionalSetSize(pid), 0);
    this.peakBytes = Math.max(this.peakBytes, bytes);
  }

  cpuSeconds(): number {
    return [...this.#cpu.values()].reduce((sum, seconds) => sum + seconds, 0);
  }
}

function readStat(pid: number): Stat[] {
  const fields = statFields(`/proc/${pid}/stat`);
  const [, parent = ''] = fields;
  if (parent === '') return [];
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
  return [{ pid, parent: Number(parent), key: `${pid} ${fields[19]}`, cpuSeconds }];
}

/** Processor seconds of this process's ended children, and of theirs. */
function waitedFor(): number {
  const fields = statFields('/proc/self/stat');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

/** What stands behind the program's name, which may hold anything. */
function statFields(path: string): string[] {
  try {
    const stat = readFileSync(path, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}
