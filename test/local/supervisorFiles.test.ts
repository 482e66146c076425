import { describe, expect, test } from '@jest/globals';
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { replaceFile } from '#local/supervisor/file.js';
import { readLock, takeLock } from '#local/supervisor/lock.js';
import { PartLog } from '#local/supervisor/log.js';
import { choosePorts, readPorts } from '#local/supervisor/ports.js';
import { identify } from '#local/supervisor/process.js';
import { inFolder } from './folder.js';

async function occupying(port: number, use: () => Promise<void>): Promise<void> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    await use();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

test('a file that a full disk does not take is DISK_FULL, and keeps what it had', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'file');
    replaceFile(file, 'before');
    symlinkSync('/dev/full', `${file}.new`);
    expect(() => replaceFile(file, 'after')).toThrow(expect.objectContaining({ code: 'DISK_FULL' }));
    expect(readFileSync(file, 'utf8')).toBe('before');
    replaceFile(file, 'after');
    expect(readFileSync(file, 'utf8')).toBe('after');
  }));

describe('ports', () => {
  test('are chosen once, each another, and kept', () =>
    inFolder(async (folder) => {
      const first = await choosePorts(folder, { chain: null, temporal: null, sqs: null });
      expect(new Set(Object.values(first.ports)).size).toBe(3);
      expect(readPorts(folder)).toEqual(first.ports);
      expect(await choosePorts(folder, { chain: null, temporal: null, sqs: null })).toEqual({
        ports: first.ports,
        moved: [],
      });
    }));

  test('one that another process has taken is chosen anew, and that is told', () =>
    inFolder(async (folder) => {
      const { ports } = await choosePorts(folder, { chain: null, sqs: null });
      await occupying(ports.chain, async () => {
        const second = await choosePorts(folder, { chain: null, sqs: null });
        expect(second.ports.sqs).toBe(ports.sqs);
        expect(second.ports.chain).not.toBe(ports.chain);
        expect(second.moved).toEqual([{ name: 'chain', from: ports.chain, to: second.ports.chain }]);
      });
    }));

  test('one that the person fixed and another process has is an error that names it', () =>
    inFolder(async (folder) => {
      const { ports } = await choosePorts(folder, { chain: null });
      await occupying(ports.chain, async () => {
        const choice = choosePorts(folder, { chain: ports.chain });
        await expect(choice).rejects.toMatchObject({
          code: 'PORT_IN_USE',
          details: { name: 'chain', port: ports.chain },
        });
      });
      expect((await choosePorts(folder, { chain: ports.chain })).ports).toEqual(ports);
    }));
});

describe('a lock', () => {
  test('is held by one and free after its release', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'lock');
      const first = takeLock(path);
      if (!('lock' in first)) throw new Error('not free');
      expect(takeLock(path)).toMatchObject({ holder: { pid: process.pid } });
      expect(readLock(path)?.pid).toBe(process.pid);
      first.lock.release();
      expect(readLock(path)).toBeUndefined();
      expect(takeLock(path)).toHaveProperty('lock');
    }));

  test.each([
    ['of a dead process', { pid: 2 ** 22 + 1, startTime: 'x' }],
    ['of a pid that another process has got', { pid: process.pid, startTime: 'earlier' }],
    ['that is damaged', 'nonsense'],
  ])('%s is taken over', (_, content) =>
    inFolder(async (folder) => {
      const path = join(folder, 'lock');
      writeFileSync(path, JSON.stringify(content));
      expect(takeLock(path)).toHaveProperty('lock');
      expect(readLock(path)).toMatchObject({ pid: process.pid, startTime: identify(process.pid)?.startTime });
    }),
  );

  test('is not released for another who has it now', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'lock');
      const mine = takeLock(path);
      if (!('lock' in mine)) throw new Error('not free');
      const theirs = JSON.stringify({ pid: 1, startTime: 'y', since: '' });
      writeFileSync(path, theirs);
      mine.lock.release();
      expect(readFileSync(path, 'utf8')).toBe(theirs);
    }));
});

describe('a log', () => {
  test('keeps lines whole when two streams write by pieces', () =>
    inFolder(async (folder) => {
      const log = new PartLog(join(folder, 'part.log'));
      log.write('stdout', 'one ');
      log.write('stderr', 'error\n');
      log.write('stdout', 'line\nunfinished');
      log.flush();
      expect(readFileSync(log.path, 'utf8')).toBe('error\none line\nunfinished\n');
      expect(log.tail()).toEqual(['error', 'one line', 'unfinished']);
    }));

  test('is moved aside when it is full, so that both together stay below twice the limit', () =>
    inFolder(async (folder) => {
      const log = new PartLog(join(folder, 'part.log'), 1_000);
      for (let index = 0; index < 100; index++) log.write('stdout', `${'x'.repeat(50)} ${index}\n`);
      expect(statSync(log.path).size).toBeLessThanOrEqual(1_000);
      expect(statSync(`${log.path}.1`).size).toBeLessThanOrEqual(1_000);
      expect(readFileSync(log.path, 'utf8')).toContain(' 99\n');
      expect(log.tail()).toHaveLength(20);
    }));

  test('remembers the last lines on a full disk', () => {
    const log = new PartLog('/dev/full');
    log.write('stdout', 'still here\n');
    expect(log.tail()).toEqual(['still here']);
  });
});
