import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { synthesiseCompute } from '#infra/synthesis.js';
import { http, logLine } from '#local/supervisor/ready.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { withExample } from '../infra/appPlane.js';
import {
  engine,
  engineCommand,
  engineEnvironment,
  engineGiven,
  hardened,
} from '../support/containerEngine.js';
import { equip, trainsOneRound } from '../support/newRunner.js';
import { apiOf } from '../support/stackApi.js';

/**
 * The two images as they are deployed. They are built before, as their files say:
 *   npm run build && npm pack ./dist/runner
 *   docker build -f infra/runner.Dockerfile --target cpu -t roundtable-runner:cpu .
 *   docker build -f infra/worker.Dockerfile -t roundtable-worker .
 *   CONTAINER_ENGINE=docker npm run jest -- test/e2e/containers.test.ts
 */
const withEngine = engineGiven ? describe : describe.skip;
const images = { runner: 'roundtable-runner:cpu', worker: 'roundtable-worker' };
const owner = 1000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-containers-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

withEngine.each(Object.entries(images))('the image of the %s', (program, image) => {
  test('runs as a user without rights, who finds nothing to write to', async () => {
    const script = 'id -u; grep CapEff /proc/self/status; touch /opt/x /etc/x 2>&1 | grep -c Read-only';
    const { out } = await engine('run', ...hardened, '--entrypoint', 'sh', image, '-c', script);
    expect(out.split(/\s+/)).toEqual([String(owner), 'CapEff:', '0'.repeat(16), '2', '']);
  });

  test('holds what this checkout built, to the byte, and Node 24', async () => {
    const files = {
      runner: [
        '/opt/roundtable/node_modules/roundtable-runner',
        'owner.js',
        'agent.js',
        'runner.js',
        'child.js',
      ],
      worker: [
        '/app/dist',
        'workflows.js',
        'gatekeeper.js',
        'workflow-bundle.js',
        'workflows/trees.js',
        'runner/child.js',
      ],
    };
    const [place = '', ...names] = files[program as keyof typeof files];
    const paths = names.map((name) => `${place}/${name}`);
    const { out } = await engine('run', ...hardened, '--entrypoint', 'sha256sum', image, ...paths);
    const built = program === 'runner' ? 'dist/runner' : 'dist';
    expect(out.trim().split('\n')).toEqual(
      names.map((name) => `${sha256(join(built, name))}  ${place}/${name}`),
    );
    const node = await engine('run', ...hardened, '--entrypoint', 'node', image, '--version');
    expect(node.out).toMatch(/^v24\./);
  });

  test('has neither settings of npm nor keys nor an emulator in any layer', async () => {
    const place = join(folder, program);
    mkdirSync(place);
    await engine('save', '--output', join(place, 'image.tar'), image);
    const names = await namesInLayers(place);
    expect(names.length).toBeGreaterThan(1_000);
    const secret =
      /(^|\/)(\.npmrc|_cacache|_logs|keystore\.json|passphrase|stages|\.env|@dynoxide)(\/|$)|roundtable-runner-.*\.tgz$/;
    expect(names.filter((name) => secret.test(name))).toEqual([]);
    rmSync(place, { recursive: true });
  }, 300_000);

  test('is told no secret by its own settings', async () => {
    const { out } = await engine('image', 'inspect', image);
    const [{ Config }] = JSON.parse(out) as [{ Config: { Env: string[]; User: string } }];
    expect(Config.User).toBe(`${owner}:${owner}`);
    const names = Config.Env.map((line) => line.split('=')[0]);
    const known = [
      'PATH',
      'NODE_VERSION',
      'YARN_VERSION',
      'NODE_ENV',
      'RUNNER_HOME',
      'ROUNDTABLE_PASSPHRASE_FILE',
    ];
    expect(names.filter((name) => !known.includes(String(name)))).toEqual([]);
  });
});

withEngine('a consortium whose runner, worker and gatekeeper are containers', () => {
  let stack: LocalStack | undefined;
  let agent: ChildProcess | undefined;
  afterAll(async () => {
    agent?.kill('SIGTERM');
    await stack?.stop();
    await engine('rm', '--force', ...['runner', 'worker', 'gatekeeper'].map(called));
  }, 60_000);

  test('the runner says its version, that the machine will do, and without a home what to do', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect((await runner([], '--version')).out.trim()).toBe(version);
    const doctor = await runner([], 'doctor', '--json');
    expect(doctor.code).toBe(0);
    expect(JSON.parse(doctor.out) as object).toContainEqual(
      expect.objectContaining({ subject: 'onnxruntime', state: 'ok' }),
    );
    const lost = await runner([], 'start');
    expect(lost.code).toBe(1);
    expect(lost.err).toContain('There is no runner in /home/runner yet');
  }, 120_000);

  test('trains a round', async () => {
    stack = await startStack({ stateDir: join(folder, 'stack'), data: [], plan: [] });
    for (const program of ['gatekeeper', 'worker'] as const) await containerInstead(stack, program);

    const home = join(folder, 'home');
    const passphrase = join(folder, 'passphrase');
    mkdirSync(home, { mode: 0o700 });
    writeFileSync(passphrase, 'correct horse battery\n', { mode: 0o600 });
    for (const path of [home, passphrase]) give(path);
    const mounts = ['-v', `${home}:/home/runner`, '-v', `${passphrase}:/run/secrets/passphrase:ro`];
    const { api, chain } = stack.file;
    const made = await runner(
      mounts,
      'init',
      '--name',
      'contained-1',
      '--stack',
      api,
      '--rpc-url',
      chain.rpcUrl,
      '--json',
    );
    expect(made).toMatchObject({ code: 0, err: '' });
    await equip(stack, home, (JSON.parse(made.out) as { address: `0x${string}` }).address);
    give(home);

    const { command, args } = engineCommand(
      'run',
      ...asDocumented,
      '--name',
      called('runner'),
      ...mounts,
      images.runner,
    );
    agent = spawn(command, args, { env: engineEnvironment });
    let log = '';
    for (const stream of [agent.stdout, agent.stderr]) stream?.on('data', (text) => (log += String(text)));
    await trainsOneRound(stack, apiOf(stack), () => log);

    const ended = new Promise((resolve) => agent?.once('exit', resolve));
    agent.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(log).toContain('stopping');
  }, 540_000);
});

/** Ends a program of the stack and starts its image as ECS would, by the template's command, with the same settings. */
async function containerInstead({ supervisor }: LocalStack, program: 'worker' | 'gatekeeper'): Promise<void> {
  const { EntryPoint, Command, Secrets, Environment } = await definitionOf(program);
  const [shell = '', ...flags] = EntryPoint;
  // Temporal of this machine is called in the clear, so nothing is shown to it.
  const script = Command.map((text) => text.replace(/printf [^;]*TEMPORAL_CREDENTIALS_FILE"; /, ''));
  const told = environmentOf(Number(supervisor.status().find(({ name }) => name === program)?.pid));
  await supervisor.stop(program);

  const keys = Secrets.map(({ Name }) => Name).filter((name) => told[`${name}_FILE`] !== undefined);
  const values = keys.map((name) => [name, readFileSync(String(told[`${name}_FILE`]), 'utf8').trim()]);
  const paths = Environment.filter(({ Name, Value }) => Name in told && /^(\/|dist\/)/.test(String(Value)));
  const env: Record<string, string> = {
    ...told,
    ...Object.fromEntries(values),
    ...Object.fromEntries(paths.map(({ Name, Value }) => [Name, Value])),
  };
  const names = [...Object.keys(env).flatMap((name) => ['--env', name]), '--env', 'TMPDIR=/scratch'];
  const own = ['--name', called(program), '--entrypoint', shell, images.worker];
  await supervisor.start({
    name: program,
    role: program === 'worker' ? 'worker' : 'service',
    ...engineCommand('run', ...hardened, ...names, ...own, ...flags, ...script),
    env: { ...env, ...engineEnvironment },
    ready:
      program === 'worker'
        ? logLine(/the workflow worker is ready/)
        : http(`http://127.0.0.1:${env['GATEKEEPER_HEALTH_PORT']}/health`),
  });
}

interface Definition {
  EntryPoint: string[];
  Command: string[];
  Secrets: { Name: string }[];
  Environment: { Name: string; Value: unknown }[];
}

let compute: ReturnType<typeof synthesiseCompute> | undefined;
async function definitionOf(program: 'worker' | 'gatekeeper'): Promise<Definition> {
  const stack = program === 'worker' ? 'Worker' : 'Gatekeeper';
  const plane = await (compute ??= withExample('ada', (stages) =>
    synthesiseCompute('ada', { root: process.cwd(), folder: stages }),
  ));
  const task = Object.values(plane[stack]?.Resources ?? {}).find(
    ({ Type }) => Type === 'AWS::ECS::TaskDefinition',
  );
  const [definition] = (task?.Properties['ContainerDefinitions'] ?? []) as Definition[];
  if (!definition) throw new Error(`The template of ${stack} has no task.`);
  return definition;
}

/** As docs/runner.md says how a runner's image is run; the network alone is the test's. */
const asDocumented = [...hardened, '--tmpfs', '/tmp'];

const called = (program: string): string => `roundtable-test-${program}-${process.pid}`;

const runner = (mounts: string[], ...argv: string[]) =>
  engine('run', ...asDocumented, ...mounts, images.runner, ...argv);

/** To the user of the images, where this test may. */
function give(path: string): void {
  if (process.getuid?.() !== 0) return;
  chownSync(path, owner, owner);
  if (path.endsWith('home'))
    for (const name of readdirSync(path, { recursive: true }))
      chownSync(join(path, String(name)), owner, owner);
}

/** What a running program of the stack was told, without what any program needs. */
function environmentOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  const pairs = lines.map(
    (line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const,
  );
  const base = ['', 'PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'];
  return Object.fromEntries(pairs.filter(([name]) => !base.includes(name)));
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Paths in every layer of a saved image, the base's too. */
async function namesInLayers(place: string): Promise<string[]> {
  const tar = (...argv: string[]) =>
    promisify(execFile)('tar', argv, { cwd: place, maxBuffer: 256 * 1024 * 1024 });
  await tar('-xf', 'image.tar');
  const manifest = JSON.parse(readFileSync(join(place, 'manifest.json'), 'utf8')) as [{ Layers: string[] }];
  const names: string[] = [];
  for (const layer of manifest[0].Layers) names.push(...(await tar('-tf', layer)).stdout.split('\n'));
  return names;
}
