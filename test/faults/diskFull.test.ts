import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { runnerHome } from '#local/consortium/runnerHomes.js';
import type { LocalStack } from '#local/stack.js';
import { afterCollecting, budget, forget, runScenario } from './laboratory.js';

/** A folder gets a disk of its own, too small for what is written there, until the log says so. */
function fullDisk(folderOf: (state: string) => string, log: string): (stack: LocalStack) => void {
  return (stack) => {
    const state = stack.supervisor.stateDir;
    const folder = folderOf(state);
    const logFile = join(state, 'logs', log);
    const before = readFileSync(logFile, 'utf8').length;
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'full', folder]);
    const timer = setInterval(() => {
      if (!stack.supervisor.status().some(({ pid }) => pid !== null)) return release();
      if (!/DISK_FULL|ENOSPC/.test(readFileSync(logFile, 'utf8').slice(before))) return;
      noticed.push(log);
      release();
    }, 50);
    const release = () => {
      clearInterval(timer);
      execFileSync('umount', ['-l', folder]);
    };
  };
}

const noticed: string[] = [];
const mayMount = process.getuid?.() === 0 && canMount();

// Mounting needs root; where tests run without it, the runner's and gateway's own tests cover their errors.
(mayMount ? test : test.skip)(
  'a full disk of a runner, then of the gateway, loses nothing: the job goes on once there is room',
  async () => {
    const outcome = await runScenario({
      faults: [
        {
          at: afterCollecting(1),
          break: fullDisk((state) => join(runnerHome(state, 'river-1'), 'work'), 'runner-river-1.log'),
        },
        { at: afterCollecting(2), break: fullDisk((state) => join(state, 'arweave', 'tmp'), 'gateway.log') },
      ],
    });
    forget(outcome.state);
    expect(noticed).toEqual(['runner-river-1.log', 'gateway.log']);
    expect(outcome.job).toMatchObject({ state: 'done', round: 3 });
    expect(outcome.rounds.flatMap(({ missing }) => missing)).toEqual([]);
    expect(Object.values(outcome.paid).reduce((sum, amount) => sum + amount, 0n)).toBe(budget);
  },
  240_000,
);

function canMount(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'probe', '/mnt'], { stdio: 'ignore' });
    execFileSync('umount', ['/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
