import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { errorNumber } from './failures.js';

const holder = z.object({ pid: z.number().int().positive(), started: z.string() });

/**
 * Two runners on one home would sign two updates for one round. The lock names a process by id and start time,
 * so that what a killed runner left behind does not stop the next one.
 * @returns what releases it
 * @throws CONFLICT while another process has it
 */
export async function lockHome(path: string): Promise<() => void> {
  const own = `${path}.${process.pid}`;
  for (let attempt = 0; attempt < 3; attempt++) {
    await writeFile(own, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }), {
      mode: 0o600,
    });
    try {
      // A link appears with its contents, so nobody ever reads a lock that has no owner yet.
      await link(own, path);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (errorNumber(error) !== 'EEXIST') throw error;
    } finally {
      await rm(own, { force: true });
    }
    const owner = await readHolder(path);
    if (owner && isRunning(owner))
      throw new RoundtableError(
        'CONFLICT',
        `Another runner (process ${owner.pid}) works in this home. Stop it first, or give this one a home and key of its own.`,
        { details: { pid: owner.pid } },
      );
    await rm(path, { force: true });
  }
  throw new RoundtableError(
    'CONFLICT',
    `Other runners are starting in the same home at the same time (${path}).`,
  );
}

/** Whether a runner works in the home at present. */
export async function isHomeLocked(path: string): Promise<boolean> {
  const owner = await readHolder(path);
  return owner !== null && isRunning(owner);
}

async function readHolder(path: string): Promise<z.output<typeof holder> | null> {
  try {
    return holder.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

function isRunning({ pid, started }: z.output<typeof holder>): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorNumber(error) === 'ESRCH') return false;
  }
  return startTime(pid) === started;
}

/** Clock ticks after boot at which a process began (proc(5), field 22); empty where there is no /proc. */
function startTime(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
