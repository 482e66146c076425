/** Finds, downloads or builds a Temporal server. */
import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { buildTemporal, builtVersion } from './build.js';
import { cacheFolder, cachedPath, makeOnce } from './cache.js';
import { downloadOrigin, downloadTemporal, sdkVersion } from './download.js';
import { NoWay, temporalVersion, type OnProgress } from './way.js';

export type TemporalSource = 'env' | 'path' | 'cache' | 'download' | 'built';

export interface FoundTemporal {
  path: string;
  source: TemporalSource;
  /** As `temporal --version` says it. */
  version: string;
  /** Why the ways before were not taken, for a person who expected one of them. */
  passed: string[];
}

export interface FindOptions {
  onProgress?: OnProgress;
  /** Default process.env: TEMPORAL_CLI_PATH, PATH, ROUNDTABLE_CACHE, XDG_CACHE_HOME, HOME. */
  env?: NodeJS.ProcessEnv;
  /** Where to ask for a download; tests have a server of their own. */
  origin?: string;
}

/**
 * Tries in this order: TEMPORAL_CLI_PATH, `temporal` on PATH, the cache, the download that the SDK would make,
 * a build with Go. Every program is asked for its version before it is taken.
 *
 * @throws TEMPORAL_NOT_FOUND with the reason of each way
 */
export async function findTemporal(options: FindOptions = {}): Promise<FoundTemporal> {
  const env = options.env ?? process.env;
  const onProgress = options.onProgress ?? (() => undefined);
  const cache = cacheFolder(env);
  const downloaded = cachedPath(cache, `sdk-${sdkVersion()}`);
  const built = cachedPath(cache, builtVersion);

  const ways: [source: TemporalSource, name: string, find: () => Promise<string> | string][] = [
    ['env', 'TEMPORAL_CLI_PATH', () => env['TEMPORAL_CLI_PATH'] || refuse('not set')],
    ['path', 'temporal on PATH', () => onPath('temporal', env['PATH'] ?? '')],
    ['cache', `cache in ${cache}`, () => inCache([downloaded, built])],
    [
      'download',
      'download',
      async () => {
        const origin = options.origin ?? downloadOrigin;
        await makeOnce(downloaded, (draft) => downloadTemporal(draft, origin, onProgress), onProgress);
        return downloaded;
      },
    ],
    [
      'built',
      'build with Go',
      async () => {
        await makeOnce(built, (draft) => buildTemporal(draft, env, onProgress), onProgress);
        return built;
      },
    ],
  ];

  const passed: string[] = [];
  for (const [source, name, find] of ways)
    try {
      const path = await find();
      return { path, source, version: await temporalVersion(path), passed };
    } catch (error) {
      passed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  throw notFound(passed);
}

function refuse(reason: string): never {
  throw new NoWay(reason);
}

/** A program that does not run, as after a change of the system, would block its place for ever. */
async function inCache(paths: string[]): Promise<string> {
  for (const path of paths.filter((candidate) => existsSync(candidate))) {
    const works = await temporalVersion(path).then(
      () => true,
      () => false,
    );
    if (works) return path;
    rmSync(path, { force: true });
  }
  return refuse('empty');
}

function onPath(name: string, path: string): string {
  const found = path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
  return found ?? refuse('there is none');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function notFound(passed: string[]): RoundtableError {
  return new RoundtableError(
    'TEMPORAL_NOT_FOUND',
    'No Temporal server was found, and none could be made.\n' +
      passed.map((reason) => `  - ${reason}\n`).join('') +
      'Do one of these, then start again:\n' +
      '  - install the Temporal CLI (https://docs.temporal.io/cli) so that `temporal` is on PATH,\n' +
      '  - or set TEMPORAL_CLI_PATH to its program,\n' +
      '  - or install Go 1.21 or newer (https://go.dev/doc/install) and let it reach a module proxy.',
    { details: { passed } },
  );
}
