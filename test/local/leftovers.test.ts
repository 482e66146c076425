import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '#local/paths.js';
import { stopStack } from '#local/supervisor/leftovers.js';
import { groupMembers, identify, isAlive, type ProcessIdentity } from '#local/supervisor/process.js';
import { prepareStateDir, readStatus, writeParts } from '#local/supervisor/record.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { until } from '../support/until.js';
import { inFolder } from './folder.js';
import { idle } from './scriptPart.js';

/**
 * Deaf to SIGTERM until the file `listen` is there: the kernel sends one when the supervisor dies, and what is
 * left shall still be there afterwards.
 */
const deafUntil = (folder: string): string =>
  "import { existsSync, writeFileSync } from 'node:fs';" +
  `process.on('SIGTERM', () => { if (existsSync(${JSON.stringify(join(folder, 'listen'))})) process.exit(0); });
   process.on('SIGWINCH', () => writeFileSync(${JSON.stringify(join(folder, 'heard'))}, '')); ${idle}`;

/**
 * From now on it ends when it is told. The kernel tells it of the supervisor's death once for each thread; signals
 * are delivered in the order of their numbers, so SIGWINCH comes after all of these.
 */
async function listenNow(folder: string, part: ProcessIdentity): Promise<void> {
  process.kill(part.pid, 'SIGWINCH');
  await until(() => existsSync(join(folder, 'heard')), 'the part has heard all that came before');
  writeFileSync(join(folder, 'listen'), '');
}

let bundle = '';
const supervisors: ChildProcess[] = [];

beforeAll(() => {
  bundle = mkdtempSync(join(tmpdir(), 'roundtable-test-'));
  const esbuild = join(projectRoot, 'node_modules', '.bin', 'esbuild');
  const entry = join(projectRoot, 'test', 'local', 'supervisorProcess.ts');
  const options = [
    '--bundle',
    '--platform=node',
    '--format=esm',
    `--outfile=${join(bundle, 'supervisor.mjs')}`,
  ];
  execFileSync(esbuild, [entry, ...options], { stdio: 'ignore' });
});

afterAll(() => {
  for (const supervisor of supervisors) supervisor.kill('SIGKILL');
  rmSync(bundle, { recursive: true });
});

/** A supervisor in another process, with one part. */
async function startElsewhere(
  stateDir: string,
  script: string,
): Promise<{ supervisor: ChildProcess; part: ProcessIdentity }> {
  const supervisor = spawn(process.execPath, [join(bundle, 'supervisor.mjs'), stateDir, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  supervisors.push(supervisor);
  await new Promise((resolve) => supervisor.stdout?.once('data', resolve));
  const [record] = readStatus(stateDir).parts;
  const part = identify(record?.pid ?? 0);
  if (part === undefined) throw new Error('the part does not run');
  return { supervisor, part };
}

async function killSupervisor(stateDir: string, supervisor: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => supervisor.once('exit', resolve));
  supervisor.kill('SIGKILL');
  await gone;
  await until(() => readStatus(stateDir).supervisor === null, 'the supervisor is dead');
}

describe('after a kill -9 of the supervisor', () => {
  test('the next start ends what was left and takes the folder', () =>
    inFolder(async (folder) => {
      const { supervisor, part } = await startElsewhere(folder, deafUntil(folder));
      await killSupervisor(folder, supervisor);
      expect(isAlive(part)).toBe(true);
      await listenNow(folder, part);
      const next = await Supervisor.open(folder);
      expect(next.leftovers).toEqual(['part']);
      expect(isAlive(part)).toBe(false);
      await next.stopAll();
    }));

  test('stopStack ends what was left, and finds nothing the second time', () =>
    inFolder(async (folder) => {
      const { supervisor, part } = await startElsewhere(folder, deafUntil(folder));
      await killSupervisor(folder, supervisor);
      await listenNow(folder, part);
      expect(await stopStack(folder)).toEqual({ found: 'leftovers', ended: ['part'] });
      expect(isAlive(part)).toBe(false);
      expect(await stopStack(folder)).toEqual({ found: 'nothing', ended: [] });
    }));

  test('children in the group of a part that died are found too', () =>
    inFolder(async (folder) => {
      const script =
        "import { spawn } from 'node:child_process';" +
        "const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });" +
        `child.once('spawn', () => console.log('ready')); setInterval(() => {}, 1000);`;
      const { supervisor, part } = await startElsewhere(folder, script);
      await killSupervisor(folder, supervisor);
      await until(() => {
        if (isAlive(part)) process.kill(part.pid, 'SIGKILL');
        return !isAlive(part);
      }, 'the leader is dead');
      expect(groupMembers(part.pid)).toHaveLength(1);
      expect(await stopStack(folder)).toEqual({ found: 'leftovers', ended: ['part'] });
      expect(groupMembers(part.pid)).toEqual([]);
    }));

  test('a stranger that got the number of a part is left alone', () =>
    inFolder(async (folder) => {
      prepareStateDir(folder);
      const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true });
      const identity = identify(stranger.pid ?? 0);
      if (identity === undefined) throw new Error('the stranger does not run');
      writeParts(folder, [
        {
          name: 'part',
          role: 'service',
          pid: identity.pid,
          startTime: 'earlier',
          state: 'ready',
          restarts: 0,
          since: '',
          log: '',
        },
      ]);
      expect(await stopStack(folder)).toEqual({ found: 'nothing', ended: [] });
      expect(isAlive(identity)).toBe(true);
      stranger.kill('SIGKILL');
    }));
});

test('stopStack asks a running supervisor to end in order and waits for it', () =>
  inFolder(async (folder) => {
    const { part } = await startElsewhere(folder, idle);
    expect(await stopStack(folder)).toEqual({ found: 'supervisor', ended: [] });
    expect(isAlive(part)).toBe(false);
    expect(readStatus(folder)).toMatchObject({
      supervisor: null,
      parts: [{ name: 'part', state: 'stopped' }],
    });
  }));

test('a second signal to the supervisor kills', () =>
  inFolder(async (folder) => {
    const deaf = `process.on('SIGTERM', () => {}); ${idle}`;
    const { supervisor, part } = await startElsewhere(folder, deaf);
    const started = Date.now();
    supervisor.kill('SIGINT');
    await until(() => readStatus(folder).parts[0]?.state === 'stopping', 'the gentle stop has begun');
    supervisor.kill('SIGINT');
    await until(() => !isAlive(part) && readStatus(folder).supervisor === null, 'everything is gone');
    expect(Date.now() - started).toBeLessThan(8_000);
  }));
