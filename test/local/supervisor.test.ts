import { afterEach, describe, expect, test } from '@jest/globals';
import { existsSync, readFileSync, symlinkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { logPath } from '#local/supervisor/log.js';
import type { PartStatus } from '#local/supervisor/part.js';
import { identify } from '#local/supervisor/process.js';
import { readStatus } from '#local/supervisor/record.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { until } from '../support/until.js';
import { inFolder } from './folder.js';
import { idle, scriptPart } from './scriptPart.js';

const open: Supervisor[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((supervisor) => supervisor.stopAll({ force: true })));
});

async function withSupervisor(use: (supervisor: Supervisor, folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const supervisor = await Supervisor.open(folder);
    open.push(supervisor);
    await use(supervisor, folder);
    await supervisor.stopAll({ force: true });
  });
}

const pidOf = (supervisor: Supervisor, name: string): number =>
  supervisor.status().find((part) => part.name === name)?.pid ?? 0;

describe('starting', () => {
  test('a part starts when those it comes after are ready', () =>
    withSupervisor(async (supervisor) => {
      const order: string[] = [];
      supervisor.events.on('starting', ({ name }) => order.push(`${name} starting`));
      supervisor.events.on('ready', ({ name }) => order.push(`${name} ready`));
      await supervisor.start(scriptPart('second', idle, { after: ['first'] }), scriptPart('first', idle));
      expect(order).toEqual(['first starting', 'first ready', 'second starting', 'second ready']);
      expect(supervisor.status()).toMatchObject([
        { name: 'second', state: 'ready', restarts: 0, pid: expect.any(Number) },
        { name: 'first', state: 'ready', restarts: 0, pid: expect.any(Number) },
      ]);
    }));

  test('a part is given its own environment and nothing secret of the person', () =>
    withSupervisor(async (supervisor, folder) => {
      process.env['AWS_SECRET_ACCESS_KEY'] = 'a real key';
      const script = `console.log(JSON.stringify(process.env)); ${idle}`;
      await supervisor.start(scriptPart('part', script, { env: { MINE: '1' } }));
      delete process.env['AWS_SECRET_ACCESS_KEY'];
      const log = readFileSync(logPath(folder, 'part'), 'utf8');
      expect(log).toContain('"MINE":"1"');
      expect(log).not.toContain('a real key');
    }));

  test('a part that never becomes ready is given up with its lines and its log', () =>
    withSupervisor(async (supervisor, folder) => {
      const part = scriptPart('slow', "console.log('thinking'); setInterval(() => {}, 1000);");
      const starting = supervisor.start({ ...part, readyTimeoutMs: 400 });
      await expect(starting).rejects.toMatchObject({ code: 'PART_NOT_READY' });
      await expect(starting).rejects.toThrow(/slow was not ready after 0\.4 s[\s\S]*thinking/);
      await expect(starting).rejects.toThrow(logPath(folder, 'slow'));
      expect(await supervisor.finished).toMatchObject({ code: 'PART_NOT_READY' });
    }));

  test('two parts of one name and an unknown name in `after` are refused', () =>
    withSupervisor(async (supervisor) => {
      await supervisor.start(scriptPart('part', idle));
      await expect(supervisor.start(scriptPart('part', idle))).rejects.toMatchObject({ code: 'CONFLICT' });
      const lonely = supervisor.start(scriptPart('lonely', idle, { after: ['nobody'] }));
      await expect(lonely).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }));
});

describe('crashes', () => {
  test('a killed part comes back under a new pid while the others run on', () =>
    withSupervisor(async (supervisor) => {
      const seen: string[] = [];
      for (const event of ['exited', 'restarting', 'starting', 'ready'] as const)
        supervisor.events.on(event, (part: PartStatus) => seen.push(`${part.name} ${event}`));
      await supervisor.start(scriptPart('victim', idle), scriptPart('other', idle));
      const [victim, other] = [pidOf(supervisor, 'victim'), pidOf(supervisor, 'other')];
      seen.length = 0;
      process.kill(victim, 'SIGKILL');
      await until(() => seen.includes('victim ready'), 'the part is ready again');
      expect(seen).toEqual(['victim exited', 'victim restarting', 'victim starting', 'victim ready']);
      expect(pidOf(supervisor, 'victim')).not.toBe(victim);
      expect(pidOf(supervisor, 'other')).toBe(other);
      expect(supervisor.status()[0]).toMatchObject({ state: 'ready', restarts: 1 });
    }));

  test('five crashes in a minute stop the stack and tell the part, its last 20 lines and its log', () =>
    withSupervisor(async (supervisor, folder) => {
      await supervisor.start(scriptPart('healthy', idle));
      const healthy = pidOf(supervisor, 'healthy');
      const script =
        "for (let i = 1; i <= 30; i++) console.log('line ' + i + '.'); console.log('ready'); process.exitCode = 7;";
      const failures: string[] = [];
      supervisor.events.on('failed', (part) => failures.push(part.name));
      await supervisor.start(scriptPart('broken', script)).catch(() => undefined);
      const error = await supervisor.finished;
      expect(error).toMatchObject({ code: 'PART_CRASHED', details: { part: 'broken' } });
      expect(error?.message).toContain('broken ended 5 times within a minute, lastly with exit code 7');
      expect(error?.message).toContain('line 30.');
      expect(error?.message).not.toContain('line 10.');
      expect(error?.message).toContain(logPath(folder, 'broken'));
      expect(failures).toEqual(['broken']);
      expect(identify(healthy)).toBeUndefined();
      expect(readFileSync(logPath(folder, 'broken'), 'utf8').match(/line 1\./g)).toHaveLength(5);
    }));

  test('a program that does not exist is told like any other crash', () =>
    withSupervisor(async (supervisor) => {
      const part = { ...scriptPart('absent', ''), command: '/nonexistent/program' };
      await expect(supervisor.start(part)).rejects.toThrow(/\/nonexistent\/program/);
    }));

  test('children of a killed part do not outlive it', () =>
    withSupervisor(async (supervisor, folder) => {
      const script =
        "import { spawn } from 'node:child_process';" +
        "const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });" +
        "console.log('child ' + child.pid);" +
        idle;
      await supervisor.start(scriptPart('parent', script));
      const child = Number(/child (\d+)/.exec(readFileSync(logPath(folder, 'parent'), 'utf8'))?.[1]);
      expect(identify(child)).toBeDefined();
      process.kill(pidOf(supervisor, 'parent'), 'SIGKILL');
      await until(() => identify(child) === undefined, 'the child is gone');
    }));

  test('a full disk costs log lines, not the part', () =>
    withSupervisor(async (supervisor, folder) => {
      mkdirSync(join(folder, 'logs'), { recursive: true });
      symlinkSync('/dev/full', logPath(folder, 'part'));
      await supervisor.start(scriptPart('part', `console.log('lost'); ${idle}`));
      expect(supervisor.status()).toMatchObject([{ state: 'ready', restarts: 0 }]);
    }));
});

describe('stopping', () => {
  test('parts end by role: runners, workers, functions, services, Temporal', () =>
    withSupervisor(async (supervisor, folder) => {
      const end = join(folder, 'ends');
      const script =
        "import { appendFileSync } from 'node:fs';" +
        "process.on('SIGTERM', () => setTimeout(() => { appendFileSync(process.env.END, process.env.ROLE + ' '); process.exit(0); }, 50));" +
        idle;
      const roles = ['service', 'temporal', 'function', 'runner', 'worker'] as const;
      await supervisor.start(
        ...roles.map((role) => scriptPart(`a-${role}`, script, { role, env: { END: end, ROLE: role } })),
      );
      await supervisor.stopAll();
      expect(readFileSync(end, 'utf8').trim()).toBe('runner worker function service temporal');
      expect(await supervisor.finished).toBeUndefined();
      expect(supervisor.status().map(({ state }) => state)).toEqual(Array(5).fill('stopped'));
    }));

  test('a part stopped on purpose is no crash and can be started again', () =>
    withSupervisor(async (supervisor) => {
      const part = scriptPart('part', idle);
      await supervisor.start(part);
      for (let round = 0; round < 6; round++) {
        await supervisor.stop('part');
        expect(supervisor.status()).toMatchObject([{ state: 'stopped', pid: null }]);
        await supervisor.start(part);
      }
      const before = pidOf(supervisor, 'part');
      await supervisor.restart('part');
      expect(pidOf(supervisor, 'part')).not.toBe(before);
      expect(supervisor.status()).toMatchObject([{ state: 'ready', restarts: 0 }]);
    }));

  test('a part that ignores the signal is killed when its time is up', () =>
    withSupervisor(async (supervisor) => {
      const deaf = scriptPart('deaf', `process.on('SIGTERM', () => {}); ${idle}`);
      await supervisor.start({ ...deaf, stopTimeoutMs: 300 });
      const pid = pidOf(supervisor, 'deaf');
      await supervisor.stopAll();
      expect(identify(pid)).toBeUndefined();
    }));

  test('a forced stop cuts a gentle one short', () =>
    withSupervisor(async (supervisor) => {
      const deaf = `process.on('SIGTERM', () => {}); ${idle}`;
      await supervisor.start(scriptPart('a', deaf, { role: 'runner' }), scriptPart('b', deaf));
      const restarts: string[] = [];
      supervisor.events.on('restarting', ({ name }) => restarts.push(name));
      const started = Date.now();
      const gentle = supervisor.stopAll();
      await supervisor.stopAll({ force: true });
      await gentle;
      expect(Date.now() - started).toBeLessThan(5_000);
      expect(restarts).toEqual([]);
    }));
});

describe('the state folder', () => {
  test('a second supervisor is refused with the pid of the first, whose parts it can read', () =>
    withSupervisor(async (supervisor, folder) => {
      await supervisor.start(scriptPart('part', idle));
      const second = Supervisor.open(folder);
      await expect(second).rejects.toMatchObject({ code: 'ALREADY_RUNNING', details: { pid: process.pid } });
      const status = readStatus(folder);
      expect(status.supervisor?.pid).toBe(process.pid);
      expect(status.parts).toMatchObject([{ name: 'part', state: 'ready', pid: pidOf(supervisor, 'part') }]);
    }));

  test('after a stop it is free, and the parts are known as stopped', () =>
    inFolder(async (folder) => {
      const first = await Supervisor.open(folder);
      await first.start(scriptPart('part', idle));
      await first.stopAll();
      expect(readStatus(folder)).toMatchObject({
        supervisor: null,
        parts: [{ name: 'part', state: 'stopped', pid: null }],
      });
      expect(existsSync(join(folder, 'supervisor.lock'))).toBe(false);
      const second = await Supervisor.open(folder);
      expect(second.leftovers).toEqual([]);
      await second.stopAll();
    }));
});
