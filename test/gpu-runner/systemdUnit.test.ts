import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { machine, node } from '#cli/machine.js';
import { writeKeystore } from '#gpu-runner/keystore.js';
import { systemdUnit, type UnitFacts } from '#gpu-runner/owner/systemdUnit.js';
import { temporaryFolder } from './folder.js';

const facts: UnitFacts = {
  name: 'north-1',
  home: '/srv/runner',
  node: '/usr/bin/node',
  agent: '/opt/roundtable/node_modules/roundtable-runner/runner.js',
  passphraseFile: '/etc/roundtable/passphrase',
  scope: 'system',
  user: '1000',
  devices: [],
};
const linesOf = (change: Partial<UnitFacts> = {}): string[] =>
  systemdUnit({ ...facts, ...change }).split('\n');

describe('the unit', () => {
  test('runs as the owner of the home, writes there alone, and gains nothing', () => {
    const lines = linesOf();
    for (const line of [
      'User=1000',
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'ReadWritePaths="/srv/runner"',
      'PrivateTmp=yes',
      'PrivateDevices=yes',
      'CapabilityBoundingSet=',
      'Restart=always',
    ])
      expect(lines).toContain(line);
    expect(lines.some((line) => line.startsWith('MemoryDenyWriteExecute'))).toBe(false);
  });

  test('names the file of the passphrase and holds no secret; a plain key needs none', () => {
    expect(linesOf()).toContain('LoadCredential="passphrase:/etc/roundtable/passphrase"');
    expect(linesOf()).toContain('Environment=ROUNDTABLE_PASSPHRASE_FILE=%d/passphrase');
    expect(systemdUnit({ ...facts, passphraseFile: null })).not.toMatch(/Credential|PASSPHRASE/);
  });

  test('opens the GPUs that there are, and no other device', () => {
    const lines = linesOf({ devices: ['/dev/nvidia0', '/dev/nvidiactl'] });
    expect(lines).toEqual(expect.arrayContaining(['DevicePolicy=closed', 'DeviceAllow=/dev/nvidia0 rw']));
    expect(lines).not.toContain('PrivateDevices=yes');
  });

  test('of a person leaves out what only root’s manager may do', () => {
    const lines = linesOf({ scope: 'user', home: '/home/ada/runner' });
    expect(lines.some((line) => /^(User|CapabilityBoundingSet|PrivateDevices)=/.test(line))).toBe(false);
    expect(lines).toContain('ProtectHome=read-only');
    expect(lines).toContain('WantedBy=default.target');
  });

  test('quotes paths with spaces, quotes, percent and dollar signs', () => {
    const lines = linesOf({ home: '/srv/my "runner" 100%', agent: '/opt/a $b/runner.js' });
    expect(lines).toContain('ReadWritePaths="/srv/my \\"runner\\" 100%%"');
    expect(lines).toContain('ExecStart="/usr/bin/node" "/opt/a $$b/runner.js"');
  });
});

describe('install', () => {
  const run = promisify(execFile);
  const owner = async (argv: string[], environment: NodeJS.ProcessEnv = {}) => {
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment };
    return run(process.execPath, ['dist/runner/owner.js', ...argv], { env }).then(
      ({ stdout }) => ({ code: 0, out: stdout, err: '' }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        out: error.stdout,
        err: error.stderr,
      }),
    );
  };

  test('prints a unit that systemd accepts and rates as well confined', async () => {
    const { folder, passphrase } = await home();
    const asked = ['install', folder, '--systemd', '--dry-run', '--json', '--passphrase-file', passphrase];
    const { code, out, err } = await owner(asked);
    expect([code, err]).toEqual([0, '']);
    const installed = JSON.parse(out) as {
      text: string;
      written: boolean;
      path: string;
      verified: { problems: string[]; exposure: string | null } | null;
    };
    expect(installed).toMatchObject({
      written: false,
      path: '/etc/systemd/system/roundtable-runner-north-1.service',
    });
    expect(installed.text).toContain(`ReadWritePaths="${folder}"`);
    expect(installed.text).not.toContain('correct horse');
    expect(existsSync(installed.path)).toBe(false);
    const hasSystemd = await run('systemd-analyze', ['--version']).then(
      () => true,
      () => false,
    );
    expect(installed.verified === null).toBe(!hasSystemd);
    if (installed.verified === null) return;
    expect(installed.verified.problems).toEqual([]);
    // systemd's own scale: 0 is shut in, 10 may do everything; a service without any of this has 9.
    expect(Number.parseFloat(installed.verified.exposure ?? '10')).toBeLessThan(3);
  });

  test('refuses what would be found out too late: no passphrase, one that others can read, no manager named', async () => {
    const { folder, passphrase } = await home();
    const install = (...more: string[]) => owner(['install', folder, ...more]);
    expect((await install('--systemd', '--dry-run')).err).toContain('PASSPHRASE_MISSING');
    chmodSync(passphrase, 0o644);
    expect((await install('--systemd', '--dry-run', '--passphrase-file', passphrase)).err).toContain(
      'KEY_EXPOSED',
    );
    expect(await install('--dry-run')).toMatchObject({ code: 2 });
    expect(await install('--systemd', '--user', '--system')).toMatchObject({ code: 2 });
  });
});

test('doctor calls Linux x64 and WSL2 supported, and everything else untested', () => {
  expect(machine({ platform: 'linux', arch: 'x64' }, '6.1.0')[0]).toBe('ok');
  expect(machine({ platform: 'linux', arch: 'x64' }, '5.15.90.1-microsoft-standard-WSL2')[1]).toContain(
    'WSL2',
  );
  for (const other of [
    { platform: 'darwin', arch: 'arm64' },
    { platform: 'linux', arch: 'arm64' },
    { platform: 'win32', arch: 'x64' },
  ])
    expect(machine(other, '1')).toEqual(['warn', expect.stringContaining('untested')]);
  expect(node('20.19.0')[0]).toBe('ok');
  expect(node('20.18.9')[0]).toBe('fail');
});

/** A home whose key is encrypted, belonging to somebody who is not root. */
async function home(): Promise<{ folder: string; passphrase: string }> {
  const folder = join(await temporaryFolder(), 'home');
  const passphrase = `${folder}.passphrase`;
  mkdirSync(folder);
  writeFileSync(passphrase, 'correct horse battery\n', { mode: 0o600 });
  const address = `0x${'a1'.repeat(20)}`;
  writeFileSync(
    join(folder, 'runner.yaml'),
    stringify({
      name: 'north-1',
      member: address,
      chain: { chainId: 31337, consortium: address, jobs: address, rpcUrls: ['http://127.0.0.1:1'] },
    }),
  );
  // Light on scrypt, which takes a second otherwise.
  await writeKeystore(join(folder, 'keystore.json'), `0x${'11'.repeat(32)}`, 'correct horse battery', 1 << 4);
  chmodSync(join(folder, 'keystore.json'), 0o600);
  if (process.getuid?.() === 0) chownSync(folder, 1000, 1000);
  return { folder, passphrase };
}
