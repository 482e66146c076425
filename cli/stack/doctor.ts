import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { freemem, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { chainPart } from '#local/emulators/chain.js';
import { dynamodbPart } from '#local/emulators/dynamodb.js';
import { distFile, projectRoot } from '#local/paths.js';
import { readStackFile } from '#local/stackFile.js';
import { readStatus } from '#local/supervisor/record.js';
import { cacheFolder, cachedPath } from '#local/temporal/cache.js';
import { builtVersion } from '#local/temporal/build.js';
import { sdkVersion } from '#local/temporal/download.js';
import type { Context } from '../command.js';
import { bytes } from '../terminal/format.js';
import { differsAt, readBuiltPage } from './builtPage.js';
import { judge, type Check, type Finding, type Verdict } from './findings.js';

/** Everything that most often keeps a stack from coming up or from running well. Starts nothing that stays. */
export async function examine(context: Context): Promise<Finding[]> {
  const checks: Check[] = [
    ['node', node],
    ['memory', memory],
    ['disk', () => disk(context.state)],
    ['ports', () => ports(context.state)],
    ['temporal', () => temporal(context.environment)],
    ['onnxruntime', onnxruntime],
    ['chain', () => program(() => chainPart({ port: 0, stateDir: context.state }).command)],
    ['dynamodb', () => program(() => dynamodbPart({ port: 0, stateDir: context.state }).command)],
    ['page', () => page(context)],
    ['stack', () => stackHealth(context)],
  ];
  return judge(checks);
}

const run = promisify(execFile);
const GB = 1e9;

function node(): Verdict {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const enough = major > 20 || (major === 20 && minor >= 19);
  return enough
    ? ['ok', process.version]
    : ['fail', `${process.version}; install Node 20.19 or newer (https://nodejs.org)`];
}

function memory(): Verdict {
  const said = `${bytes(freemem())} free of ${bytes(totalmem())}`;
  return freemem() > 1.5 * GB
    ? ['ok', said]
    : ['warn', `${said}; the demo needs about 1.5 GB, close something if it is slow`];
}

async function disk(state: string): Promise<Verdict> {
  let folder = state;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const said = `${bytes(free)} free at ${folder}`;
  if (free < 0.2 * GB)
    return ['fail', `${said}; free some space, a stack writes databases, archives and logs`];
  return free < 2 * GB ? ['warn', `${said}; long jobs and a build of Temporal need more`] : ['ok', said];
}

/** Ports that this folder's stack will want again and that somebody else has. */
async function ports(state: string): Promise<Verdict> {
  const status = readStatus(state);
  if (status.supervisor) return ['ok', 'in use by the running stack'];
  const recorded = Object.entries(status.ports);
  const taken = (
    await Promise.all(
      recorded.map(async ([name, port]) => ((await isFree(port)) ? [] : [`${port} (${name})`])),
    )
  ).flat();
  if (taken.length === 0)
    return ['ok', recorded.length === 0 ? 'chosen at the first start' : 'those of the last start are free'];
  return ['warn', `another process has ${taken.join(', ')}; the stack will move to other ports`];
}

async function temporal(environment: Context['environment']): Promise<Verdict> {
  const ways = [
    ...(environment['TEMPORAL_CLI_PATH'] ? [environment['TEMPORAL_CLI_PATH']] : []),
    'temporal',
    ...[`sdk-${sdkVersion()}`, builtVersion].map((version) => cachedPath(cacheFolder(environment), version)),
  ];
  for (const way of ways) {
    const found = await run(way, ['--version'], { timeout: 20_000 }).catch(() => null);
    if (found) return ['ok', `${found.stdout.trim().split('\n', 1)[0] ?? ''} (${way})`];
  }
  const go = await run('go', ['version'], { timeout: 20_000 }).catch(() => null);
  if (go)
    return [
      'warn',
      `none yet; it is downloaded, or built with ${go.stdout.trim().split(' ').slice(0, 3).join(' ')} (about 3 minutes) at the first start`,
    ];
  return [
    'warn',
    'none yet, and there is no Go to build it with; if the download fails too, install the Temporal CLI (https://docs.temporal.io/cli)',
  ];
}

/** In a child process: a native library that does not fit the machine ends the process that loads it. */
async function onnxruntime(): Promise<Verdict> {
  const script =
    "import('onnxruntime-node').then(({ default: ort }) => console.log(ort.env.versions.node ?? ort.env.versions.common))";
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: projectRoot,
    timeout: 60_000,
  }).catch((error: Error) => {
    throw new Error(
      `it does not load (${error.message.split('\n').at(-2) ?? error.message}); run npm install again on this machine`,
    );
  });
  return ['ok', stdout.trim()];
}

async function program(path: () => string): Promise<Verdict> {
  const { stdout } = await run(path(), ['--version'], { timeout: 20_000 });
  return ['ok', stdout.trim().split('\n', 1)[0] ?? ''];
}

/** What members compare, and whether the stack serves it. */
async function page(context: Context): Promise<Verdict> {
  const built = readBuiltPage(distFile('web'));
  const said = `${built.files.length} files, SHA-256 ${built.hash}`;
  if (!readStatus(context.state).supervisor) return ['ok', said];
  const other = await differsAt(readStackFile(context.state).api, built);
  return other === null
    ? ['ok', `${said}, as the stack serves them`]
    : ['warn', `${said}; the stack serves another ${other}, restart it to serve this build`];
}

async function stackHealth(context: Context): Promise<Verdict> {
  const { supervisor, parts } = readStatus(context.state);
  if (!supervisor) return ['ok', 'not running; bring it up with `roundtable up` or `npm start`'];
  const bad = parts.filter(({ state }) => state !== 'ready' && state !== 'stopped');
  if (bad.length > 0)
    return [
      'warn',
      `${bad.map(({ name, state }) => `${name} is ${state}`).join(', ')}; see \`roundtable logs ${bad[0]?.name ?? ''}\``,
    ];
  const health = await context.api().health();
  return health.ok
    ? ['ok', `${parts.length} parts run, the API answers`]
    : ['fail', 'the API says that it is not well; see `roundtable logs api`'];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
