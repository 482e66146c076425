/** Temporal's command line, built with Go from the module in this folder. */
import { execFile, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { baseEnvironment } from '../environment.js';
import { projectRoot } from '../paths.js';
import { NoWay, firstLine, reportProgress, type OnProgress } from './way.js';

/** Of github.com/temporalio/cli in go.mod. Its server is 1.29.1. */
export const builtVersion = '1.5.1';

const limitMs = 45 * 60_000;

/** Measured: 360 s of CPU time besides the download of the modules. */
const expectedSeconds = (): number => 30 + Math.round(450 / Math.min(availableParallelism(), 8));

/**
 * Any Go from 1.21 will do: it fetches the tool chain that go.mod asks for.
 *
 * @param env where to find go, and where it keeps its caches
 * @throws NoWay
 */
export async function buildTemporal(
  draft: string,
  env: NodeJS.ProcessEnv,
  onProgress: OnProgress,
): Promise<void> {
  const goEnv = { ...baseEnvironment(env), ...pick(env, goSettings), GOTOOLCHAIN: 'auto', CGO_ENABLED: '0' };
  await checkGo(goEnv);
  const progress = reportProgress('building', expectedSeconds(), onProgress);
  try {
    await go(
      [
        'build',
        '-v',
        '-trimpath',
        '-ldflags',
        `-s -w -X github.com/temporalio/cli/temporalcli.Version=${builtVersion}`,
      ].concat(['-o', draft, 'github.com/temporalio/cli/cmd/temporal']),
      goEnv,
      (line) => progress.detail(line),
    );
  } finally {
    progress.end();
  }
}

/** The person's own choices for Go that a build needs where the network is not open. */
const goSettings = [
  'GOPROXY',
  'GOSUMDB',
  'GONOSUMDB',
  'GOPRIVATE',
  'GOFLAGS',
  'GOPATH',
  'GOMODCACHE',
  'GOCACHE',
  'GOROOT',
].concat([
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'XDG_CACHE_HOME',
]);

async function checkGo(env: Record<string, string>): Promise<void> {
  const { stdout } = await promisify(execFile)('go', ['version'], { env, timeout: 60_000 }).catch(
    (error: Error) => {
      throw new NoWay(
        'code' in error && error.code === 'ENOENT'
          ? 'go is not on PATH'
          : `go version failed: ${firstLine(error.message)}`,
      );
    },
  );
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(stdout) ?? [];
  if (Number(major) === 1 && Number(minor) < 21)
    throw new NoWay(`go on PATH is ${major}.${minor}; from 1.21 on it fetches the tool chain it needs`);
}

function go(args: string[], env: Record<string, string>, onLine: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', args, {
      cwd: join(projectRoot, 'local', 'temporal'),
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: limitMs,
    });
    let recent: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      recent = [...recent, line].slice(-5);
      onLine(line);
    });
    child.once('error', (error) => reject(new NoWay(`go build failed: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new NoWay(`go build ended with ${signal ?? `exit code ${code}`}: ${recent.join(' / ')}`));
    });
  });
}

function pick(env: NodeJS.ProcessEnv, names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
