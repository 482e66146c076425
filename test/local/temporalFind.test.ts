import { describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { findTemporal, type FindOptions } from '#local/temporal/find.js';
import type { Progress } from '#local/temporal/way.js';
import { inFolder } from './folder.js';

/** Nothing answers there. */
const nowhere = 'http://127.0.0.1:9';
const temporalScript = (version: string) =>
  `#!/bin/sh\necho "temporal version ${version} (Server 1.29.1, UI 2.42.1)"\n`;

function writeProgram(path: string, script: string): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

/** A go that notes how it was called, takes a while, and "builds" a script. */
function writeGo(
  folder: string,
  options: { version?: string; fails?: boolean; seconds?: number } = {},
): string {
  const { version = 'go1.21.0', fails = false, seconds = 0 } = options;
  const build = fails
    ? 'echo "go: module lookup disabled" >&2; exit 1'
    : `while [ "$1" != -o ]; do shift; done; /bin/sleep ${seconds}; /bin/cp "${folder}/built" "$2"; /bin/chmod +x "$2"`;
  writeFileSync(join(folder, 'built'), temporalScript('1.5.1'));
  const script =
    `#!/bin/sh\nif [ "$1" = version ]; then echo "go version ${version} linux/amd64"; exit 0; fi\n` +
    `echo "$GOTOOLCHAIN $PWD $*" >> "${folder}/go-calls"; echo "go.temporal.io/server" >&2\n${build}\n`;
  writeProgram(join(folder, 'bin', 'go'), script);
  return join(folder, 'bin');
}

const optionsFor = (folder: string, env: Record<string, string>, origin = nowhere): FindOptions => ({
  env: { PATH: join(folder, 'empty'), ROUNDTABLE_CACHE: join(folder, 'cache'), ...env },
  origin,
});

describe('a Temporal server is taken from', () => {
  test('TEMPORAL_CLI_PATH before anything else', () =>
    inFolder(async (folder) => {
      const mine = writeProgram(join(folder, 'mine'), temporalScript('9.1.0'));
      writeProgram(join(folder, 'bin', 'temporal'), temporalScript('9.2.0'));
      const env = { TEMPORAL_CLI_PATH: mine, PATH: join(folder, 'bin') };
      expect(await findTemporal(optionsFor(folder, env))).toEqual({
        path: mine,
        source: 'env',
        version: '9.1.0 (Server 1.29.1, UI 2.42.1)',
        passed: [],
      });
    }));

  test('PATH, when the variable leads nowhere, which is told', () =>
    inFolder(async (folder) => {
      const path = writeProgram(join(folder, 'bin', 'temporal'), temporalScript('9.2.0'));
      const env = { TEMPORAL_CLI_PATH: join(folder, 'absent'), PATH: join(folder, 'bin') };
      const found = await findTemporal(optionsFor(folder, env));
      expect(found).toMatchObject({ path, source: 'path' });
      expect(found.passed).toEqual([expect.stringMatching(/^TEMPORAL_CLI_PATH: .*absent --version failed/)]);
    }));

  test('the cache, when the program on PATH is something else of that name', () =>
    inFolder(async (folder) => {
      writeProgram(join(folder, 'bin', 'temporal'), '#!/bin/sh\necho "temporal 1.0, a calendar"\n');
      const name = `temporal-1.5.1-${process.platform}-${process.arch}`;
      const path = writeProgram(join(folder, 'cache', name), temporalScript('1.5.1'));
      const found = await findTemporal(optionsFor(folder, { PATH: join(folder, 'bin') }));
      expect(found).toMatchObject({ path, source: 'cache' });
      expect(found.passed[1]).toMatch(/not Temporal's command line/);
    }));

  test("the SDK's download, which is then in the cache", () =>
    inFolder(async (folder) => {
      writeProgram(join(folder, 'pack', 'temporal'), temporalScript('1.7.0'));
      execFileSync('tar', ['-czf', join(folder, 'archive.tar.gz'), '-C', join(folder, 'pack'), 'temporal']);
      const asked: string[] = [];
      const server = createServer((request, response) => {
        asked.push(request.url ?? '');
        const { port } = server.address() as AddressInfo;
        if (request.url?.startsWith('/cli/default?'))
          response.end(
            JSON.stringify({
              archiveUrl: `http://127.0.0.1:${port}/archive.tar.gz`,
              fileToExtract: 'temporal',
            }),
          );
        else response.end(readFileSync(join(folder, 'archive.tar.gz')));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      try {
        const { port } = server.address() as AddressInfo;
        const options = optionsFor(folder, {}, `http://127.0.0.1:${port}`);
        const first = await findTemporal(options);
        expect(first).toMatchObject({ source: 'download', version: '1.7.0 (Server 1.29.1, UI 2.42.1)' });
        expect(asked[0]).toMatch(/^\/cli\/default\?.*sdk-name=sdk-typescript&sdk-version=1\.\d+\.\d+$/);
        expect(await findTemporal(options)).toMatchObject({ source: 'cache', path: first.path });
        expect(readdirSync(join(folder, 'cache'))).toHaveLength(1);
      } finally {
        server.close();
      }
    }));

  test('a build with Go, whose progress is shown, and which is then in the cache', () =>
    inFolder(async (folder) => {
      const PATH = writeGo(folder, { seconds: 2 });
      const progress: Progress[] = [];
      const options = {
        ...optionsFor(folder, { PATH }),
        onProgress: (step: Progress) => void progress.push(step),
      };
      const found = await findTemporal(options);
      expect(found).toMatchObject({ source: 'built', version: '1.5.1 (Server 1.29.1, UI 2.42.1)' });
      expect(found.path.startsWith(join(folder, 'cache'))).toBe(true);
      const built = progress.filter(({ stage }) => stage === 'building');
      expect(built.at(-1)).toMatchObject({
        detail: 'go.temporal.io/server',
        expectedSeconds: expect.any(Number),
      });
      expect(built.at(-1)?.elapsedSeconds).toBeGreaterThanOrEqual(1);
      const call = readFileSync(join(folder, 'go-calls'), 'utf8');
      expect(call).toMatch(
        /^auto .*local\/temporal build .*-trimpath .*github\.com\/temporalio\/cli\/cmd\/temporal\n$/,
      );
      expect(await findTemporal(optionsFor(folder, {}))).toMatchObject({ source: 'cache', path: found.path });
    }));
});

test('two that need a build at once build once', () =>
  inFolder(async (folder) => {
    const options = optionsFor(folder, { PATH: writeGo(folder, { seconds: 1 }) });
    const found = await Promise.all([findTemporal(options), findTemporal(options)]);
    expect(found.map(({ source }) => source)).toEqual(['built', 'built']);
    expect(readFileSync(join(folder, 'go-calls'), 'utf8').trim().split('\n')).toHaveLength(1);
    expect(readdirSync(join(folder, 'cache'))).toEqual([expect.stringMatching(/^temporal-1\.5\.1-/)]);
  }));

test('a cached program that no longer runs is made anew', () =>
  inFolder(async (folder) => {
    const PATH = writeGo(folder);
    const { path } = await findTemporal(optionsFor(folder, { PATH }));
    writeFileSync(path, 'damaged');
    expect(await findTemporal(optionsFor(folder, { PATH }))).toMatchObject({ source: 'built', path });
  }));

describe('when every way fails', () => {
  test('one error names each way with its reason, and what to install', () =>
    inFolder(async (folder) => {
      const finding = findTemporal(optionsFor(folder, {}));
      await expect(finding).rejects.toMatchObject({ code: 'TEMPORAL_NOT_FOUND' });
      await expect(finding).rejects.toThrow(/TEMPORAL_CLI_PATH: not set/);
      await expect(finding).rejects.toThrow(/temporal on PATH: there is none/);
      await expect(finding).rejects.toThrow(/cache in .*: empty/);
      await expect(finding).rejects.toThrow(/download: the download failed/);
      await expect(finding).rejects.toThrow(/build with Go: go is not on PATH/);
      await expect(finding).rejects.toThrow(/install Go 1\.21 or newer/);
      expect(readdirSync(join(folder, 'cache'))).toEqual([]);
    }));

  test.each([
    ['a Go that is too old', { version: 'go1.19.8' }, /go on PATH is 1\.19; from 1\.21 on/],
    ['a build that fails', { fails: true }, /go build ended with exit code 1: .*module lookup disabled/],
  ])('%s is told', (_, go, reason) =>
    inFolder(async (folder) => {
      await expect(findTemporal(optionsFor(folder, { PATH: writeGo(folder, go) }))).rejects.toThrow(reason);
      expect(existsSync(join(folder, 'cache')) ? readdirSync(join(folder, 'cache')) : []).toEqual([]);
    }),
  );
});
