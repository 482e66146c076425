import { execFile, spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startStack, type LocalStack } from '#local/stack.js';
import { equip, trainsOneRound } from '../support/newRunner.js';
import { apiOf } from '../support/stackApi.js';

/** The runner as its owner gets it: packed, installed in an empty folder far from this checkout, and put to work. */
const run = promisify(execFile);
let folder: string;
let place: string;
let bin: string;
let stack: LocalStack;
let agent: ChildProcess | undefined;

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
}
const manifestOf = (path: string): Manifest => JSON.parse(readFileSync(path, 'utf8')) as Manifest;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-package-'));
  place = join(folder, 'machine');
  bin = join(place, 'node_modules/.bin/roundtable-runner');
  writeFileSync(join(folder, 'passphrase'), 'correct horse battery\n', { mode: 0o600 });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder, './dist/runner']);
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  if (!packed) throw new Error('npm packed nothing');
  figures.packedKilobytes = Math.round(packed.size / 1000);
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), '{ "private": true }\n');
  // What npm has cached is not fetched again.
  await run(
    'npm',
    ['install', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline', join(folder, packed.filename)],
    { cwd: place, env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' }, timeout: 300_000 },
  );
  figures.installedMegabytes = Math.round(bytesIn(join(place, 'node_modules')) / 1e6);
}, 360_000);
afterAll(async () => {
  agent?.kill('SIGKILL');
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
  process.stdout.write(`${JSON.stringify({ package: 'roundtable-runner', ...figures })}\n`);
}, 60_000);

interface Packed {
  filename: string;
  size: number;
}
const figures = { packedKilobytes: 0, installedMegabytes: 0 };

test('the package holds the bundles, their guide and licence, and nothing else', () => {
  const own = join(place, 'node_modules/roundtable-runner');
  expect(readdirSync(own).sort()).toEqual(
    ['LICENSE', 'README.md', 'agent.js', 'child.js', 'owner.js', 'package.json', 'runner.js', 'web'].sort(),
  );
  expect(figures.packedKilobytes).toBeLessThan(1_000);
});

test('it installs what this checkout is tested with, to the version, and nothing of the stack', () => {
  const root = manifestOf('package.json');
  const { dependencies, version } = manifestOf(join(place, 'node_modules/roundtable-runner/package.json'));
  expect(version).toBe(root.version);
  for (const [name, pinned] of Object.entries(dependencies)) {
    expect([name, root.dependencies[name]]).toEqual([name, pinned]);
    expect(manifestOf(join(place, 'node_modules', name, 'package.json')).version).toBe(pinned);
  }
  for (const stranger of [
    'sst',
    'aws-cdk-lib',
    'solc',
    '@openzeppelin',
    '@foundry-rs',
    '@aws-sdk',
    'prom-client',
  ])
    expect([stranger, existsSync(join(place, 'node_modules', stranger))]).toEqual([stranger, false]);
  expect(figures.installedMegabytes).toBeLessThan(800);
});

test('it says its version, its verbs, and whether the machine will do', async () => {
  const { version } = manifestOf('package.json');
  expect((await owner('--version')).out.trim()).toBe(version);
  expect((await owner('--help')).out).toContain('install [options] [home]');
  const { code, out } = await owner('doctor', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out) as object).toContainEqual(
    expect.objectContaining({ subject: 'onnxruntime', state: 'ok' }),
  );
});

test('it enrols at a stack and trains a round there', async () => {
  stack = await startStack({ stateDir: join(folder, 'stack'), data: [], plan: [] });
  const { file } = stack;
  const home = join(folder, 'home');
  const secret = ['--passphrase-file', join(folder, 'passphrase')];
  const made = await owner(
    'init',
    home,
    '--name',
    'packed-1',
    '--stack',
    file.api,
    '--rpc-url',
    file.chain.rpcUrl,
    '--json',
    ...secret,
  );
  expect(made).toMatchObject({ code: 0, err: '' });
  await equip(stack, home, (JSON.parse(made.out) as { address: `0x${string}` }).address);
  agent = spawn(bin, ['start', home, ...secret], { env: environment() });
  let log = '';
  for (const stream of [agent.stdout, agent.stderr]) stream?.on('data', (text) => (log += String(text)));
  await trainsOneRound(stack, apiOf(stack), () => log);
}, 540_000);

/** A command of the installed package, with nothing of this checkout in its environment. */
async function owner(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  try {
    const { stdout, stderr } = await run(bin, argv, { cwd: place, env: environment() });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], HOME: folder });

function bytesIn(path: string): number {
  return readdirSync(path, { withFileTypes: true }).reduce((sum, entry) => {
    const inner = join(path, entry.name);
    return sum + (entry.isDirectory() ? bytesIn(inner) : entry.isFile() ? statSync(inner).size : 0);
  }, 0);
}
