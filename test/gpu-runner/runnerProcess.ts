import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { distFile } from '#local/paths.js';
import { endChild, track } from './parts.js';

export interface RunnerProcess {
  pid: number;
  /** Messages that it logged. */
  lines: string[];
  exitCode: Promise<number | null>;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Process ids of its children: the training process. */
  children(): number[];
  /** Resident memory in MB. */
  memory(): number;
}

/** The built runner, as its owner starts it. */
export function startRunner(home: string, script = distFile('runner/runner.js')): RunnerProcess {
  const child: ChildProcess = spawn(process.execPath, [script], {
    env: { PATH: process.env['PATH'], RUNNER_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  track(child);
  const lines: string[] = [];
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg } = JSON.parse(line) as { msg: string };
      lines.push(msg);
    });
  const pid = child.pid ?? 0;
  return {
    pid,
    lines,
    exitCode: new Promise((resolve) => child.once('exit', resolve)),
    kill: (signal) => endChild(child, signal),
    children: () =>
      readdirSync('/proc')
        .map(Number)
        .filter((id) => id > 0 && parentOf(id) === pid),
    memory: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
  };
}

function parentOf(pid: number): number | null {
  try {
    return Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return null;
  }
}
