import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { synthesiseCompute } from '#infra/synthesis.js';
import { withExample } from './appPlane.js';

/**
 * The script as it stands in the template, run by bash in a folder that stands for the machine's root. What belongs to
 * AWS and to the machine's system is replaced by programs that write down how they were called; the runner's package is
 * the real one and writes its real unit.
 */
const run = promisify(execFile);
const runner = 'gpu-1';
const unit = `roundtable-runner-${runner}.service`;

let root = '';
let script = '';
let calls: string[] = [];
beforeAll(async () => {
  script = await scriptOfTemplate();
  root = mkdtempSync(join(tmpdir(), 'roundtable-boot-'));
  for (const folder of ['bin', 'etc/systemd/system', 'usr/local/bin', 'dev/disk/by-id', 'srv'])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_token'), '');
  for (const [name, lines] of Object.entries(programs())) {
    writeFileSync(join(root, 'bin', name), `#!/bin/sh\necho "${name} $*" >> ${root}/calls\n${lines}\n`);
    chmodSync(join(root, 'bin', name), 0o755);
  }
  await run('bash', ['-c', below(root)], { env: { PATH: `${root}/bin:${String(process.env['PATH'])}` } });
  calls = readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');
}, 240_000);
afterAll(() => {
  if (root !== '') rmSync(root, { recursive: true });
});

/** What is not on the machine of a test, and what this script must not do to it. */
const programs = (): Record<string, string> => ({
  dnf: '',
  useradd: '',
  mount: '',
  blkid: 'exit 1',
  'mkfs.xfs': '',
  systemctl: '',
  'nvidia-smi': '',
  'nvidia-modprobe': '',
  curl: 'echo answer',
  // A service does not run as root, so its home must belong to somebody else, here as there.
  chown: `[ "$(id -u)" != 0 ] || ${realProgram('chown')} -R 65534 "${root}/srv/runner"`,
  aws: `case "$*" in *chain-rpc*|*ChainRpc*|*Urls*) echo 'https://a.example.org, https://b.example.org';; *secretsmanager*) echo 0x${'11'.repeat(32)};; esac`,
  'npm-24': 'mkdir -p node_modules/onnxruntime-node',
  umount: '',
  runuser: 'AS=$2; export AS; shift 3; exec "$@"',
  // systemd does not run here: the unit is shown instead of written where the machine's manager reads it.
  'node-24': `[ "$1" != script/install ] || { echo "$PWD $ONNXRUNTIME_NODE_INSTALL" >> ${root}/installer; exit; }
    [ "$2" != register ] || { echo "$AS $*" >> ${root}/registered; exit 1; }
    shift; exec ${process.execPath} ${resolve('dist/runner/owner.js')} "$@" --dry-run --json > ${root}/installed`,
});

describe('the script of a machine of the fleet', () => {
  test('is read by bash as a whole, stops at the first mistake, and names no variable that nobody set', async () => {
    await run('bash', ['-n', '-c', script]);
    expect(script.split('\n').slice(0, 2)).toEqual(['#!/bin/bash', 'set -euo pipefail']);
  });

  test('installs the packed runner with Node 24 and the libraries of CUDA', () => {
    expect(calls).toContain('dnf install -y nodejs24 nodejs24-npm');
    expect(script).toContain('ONNXRUNTIME_NODE_INSTALL=skip npm-24 install');
    const installer = join(root, 'opt/roundtable/node_modules/onnxruntime-node');
    expect(readFileSync(join(root, 'installer'), 'utf8')).toBe(`${installer} cuda12\n`);
    expect(calls).toContain('npm-24 install --omit=dev --no-audit --no-fund ./roundtable-runner.tgz');
    expect(script).not.toMatch(/nodejs?-?(20|22)\b/);
  });

  test('makes a home that the runner reads, with the key for its owner alone', async () => {
    const home = await readRunnerHome(join(root, 'srv/runner'));
    expect(home.config).toMatchObject({
      name: runner,
      chain: {
        chainId: 84532,
        block: 1,
        receiptJudge: '0x0000000000000000000000000000000000000009',
        rpcUrls: ['https://a.example.org', 'https://b.example.org'],
      },
      gateways: ['https://arweave.net'],
    });
    const { stdout } = await run('stat', ['-c', '%a', join(root, 'srv/runner/key')]);
    expect(stdout.trim()).toBe('600');
  });

  test('registers the runner as the user of its home, and goes on when it has no funds yet', () => {
    expect(readFileSync(join(root, 'registered'), 'utf8').trim()).toBe(
      `roundtable ${root}/opt/roundtable/node_modules/roundtable-runner/owner.js register ${root}/srv/runner`,
    );
    expect(calls).toContain(`systemctl enable --now ${unit} roundtable-interruption.service`);
  });

  test('has the package write its unit, and enables and ends the unit of that very name', () => {
    const installed = JSON.parse(readFileSync(join(root, 'installed'), 'utf8')) as {
      unit: string;
      text: string;
    };
    expect(installed.unit).toBe(unit);
    for (const line of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'CapabilityBoundingSet='])
      expect(installed.text.split('\n')).toContain(line);
    expect(calls).toContain(`systemctl enable --now ${unit} roundtable-interruption.service`);
    const watch = readFileSync(join(root, 'usr/local/bin/roundtable-interruption'), 'utf8');
    expect(watch).toContain(`systemctl stop ${unit}\n`);
    expect(existsSync(join(root, 'etc/systemd/system/roundtable-interruption.service'))).toBe(true);
    // The script itself writes no unit of the runner.
    expect(script).not.toContain(`${unit} <<`);
  });

  test('looks for the GPU before the unit names its device files, and watches for the notice of interruption', async () => {
    const order = ['nvidia-modprobe', 'node-24 /', 'systemctl enable'].map((name) =>
      calls.findIndex((call) => call.startsWith(name)),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order).not.toContain(-1);
    const watch = join(root, 'usr/local/bin/roundtable-interruption');
    expect(readFileSync(watch, 'utf8')).toContain('spot/instance-action');
    await run('sh', ['-n', watch]);
  });
});

/** The script with everything that it writes to below the folder. */
const below = (folder: string): string =>
  script.replace(/(?<=[\s"'=>])\/(srv|opt|etc|usr\/local|dev\/disk)\b/g, `${folder}/$1`);

function realProgram(name: string): string {
  const folders = String(process.env['PATH']).split(':');
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`There is no ${name} here.`);
  return found;
}

/** What only a deployment knows is called `token`, but for secrets, which say which they are. */
async function scriptOfTemplate(): Promise<string> {
  const plane = await withExample('ada', (folder) =>
    synthesiseCompute('ada', { root: process.cwd(), folder }),
  );
  const template = Object.values(plane['Fleet']?.Resources ?? {}).find(
    ({ Type }) => Type === 'AWS::EC2::LaunchTemplate',
  )?.Properties['LaunchTemplateData'] as {
    UserData: { 'Fn::Base64': { 'Fn::Join': [string, unknown[]] } };
  };
  const [separator, parts] = template.UserData['Fn::Base64']['Fn::Join'];
  return parts.map(text).join(separator);
}

function text(part: unknown): string {
  if (typeof part === 'string') return part;
  const reference = JSON.stringify(part);
  if (/apiurl/i.test(reference)) return 'https://api.example.org';
  return reference.includes('ChainRpcUrls') ? 'Urls' : 'token';
}
