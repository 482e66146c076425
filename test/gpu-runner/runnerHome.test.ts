import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { SigningKey } from 'ethers/crypto';
import { verifyMessage, verifyTypedData } from 'ethers/hash';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { lockHome } from '#gpu-runner/homeLock.js';
import { readPolicy, readRunnerHome, writeRunnerHome, type RunnerConfig } from '#gpu-runner/runnerHome.js';
import { hasKey, readAddress, unlockKey, writeKeystore, type KeyPaths } from '#gpu-runner/keystore.js';
import { runnerKey } from '#gpu-runner/runnerKey.js';
import { until } from '../support/until.js';
import { temporaryFolder } from './folder.js';

const privateKey = `0x${'42'.repeat(32)}` as const;
const coordinator = `0x${'c0'.repeat(20)}` as const;
const config = {
  name: 'north-1',
  member: `0x${'a1'.repeat(20)}`,
  stacks: [{ coordinator, api: 'http://127.0.0.1:1' }],
  privateHosts: [],
  gateways: ['https://arweave.net'],
  chain: {
    rpcUrls: ['http://127.0.0.1:3'],
    block: 7,
    chainId: 31337,
    jobs: `0x${'bb'.repeat(20)}`,
    consortium: `0x${'cc'.repeat(20)}`,
  },
} satisfies RunnerConfig;

async function home() {
  const folder = join(await temporaryFolder(), 'home');
  const paths = await writeRunnerHome(folder, {
    config,
    key: privateKey,
    policy: { allow: [{ coordinators: [coordinator], jobs: ['digits-*'], data: ['digits'] }] },
  });
  return { folder, paths };
}

describe('the home folder', () => {
  test('is read as it was written', async () => {
    const { folder } = await home();
    const read = await readRunnerHome(folder);
    expect(read.config).toEqual(config);
    expect(await readPolicy(read.paths)).toEqual({
      allow: [{ coordinators: [coordinator], jobs: ['digits-*'], data: ['digits'], fewestRunners: 1 }],
      throttle: 1,
      receipts: 'keep',
      bandwidth: { up: null, down: null },
      limits: {},
    });
  });

  test('reports all mistakes of both files at once', async () => {
    const { folder, paths } = await home();
    await writeFile(
      paths.config,
      'name: North 1\nmember: "0x12"\nstacks: nowhere\nchain: {rpcUrls: ["ftp://x"]}\n',
    );
    await writeFile(paths.policy, 'allow: [{jobs: []}]\nthrotle: 2\n');
    const mistakes = [
      'name: ',
      'member: ',
      'stacks: ',
      'chain.rpcUrls.0: ',
      'chain.jobs: ',
      'chain.consortium: ',
    ];
    mistakes.push('allow.0.coordinators: ', 'allow.0.jobs: ', 'throtle');
    await expect(readRunnerHome(folder)).rejects.toMatchObject({ code: 'HOME_INVALID' });
    const message = await readRunnerHome(folder).catch((error: Error) => error.message);
    for (const mistake of mistakes) expect(message).toContain(mistake);
  });

  test('without policy.yaml allows nothing', async () => {
    const { paths } = await home();
    await rm(paths.policy);
    expect((await readPolicy(paths)).allow).toEqual([]);
  });

  test('without runner.yaml says what is missing', async () => {
    const folder = await temporaryFolder();
    await expect(readRunnerHome(folder)).rejects.toThrow(/runner\.yaml does not exist/);
  });

  test('with a file that is not YAML says so', async () => {
    const { folder, paths } = await home();
    await writeFile(paths.config, 'name: [');
    await expect(readRunnerHome(folder)).rejects.toThrow(/runner\.yaml is not YAML/);
  });
});

const unlock = async (paths: KeyPaths, passphrase?: string) =>
  (
    await unlockKey(paths, () =>
      passphrase === undefined ? Promise.reject(new Error('asked for')) : Promise.resolve(passphrase),
    )
  ).key;

describe('the encrypted key', () => {
  /** Little work for scrypt: what costs an attacker time costs the tests time. */
  const work = 1 << 12;
  async function encrypted() {
    const { paths } = await home();
    await rm(paths.key);
    const address = await writeKeystore(paths.keystore, privateKey, 'correct horse', work);
    return { paths, address };
  }

  test('opens with its passphrase only, and shows its address without it', async () => {
    const { paths, address } = await encrypted();
    expect((await stat(paths.keystore)).mode & 0o777).toBe(0o600);
    expect(await hasKey(paths)).toBe(true);
    expect(await readAddress(paths)).toBe(address);
    expect((await unlock(paths, 'correct horse')).address).toBe(address);
    const error: unknown = await unlock(paths, 'wrong horse').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'PASSPHRASE_WRONG' });
    expect(String(error)).not.toContain('wrong horse');
    expect(await readFile(paths.keystore, 'utf8')).not.toContain(privateKey.slice(2));
  });

  test('is refused when it is damaged, exposed, or not the only key', async () => {
    const { paths } = await encrypted();
    const text = await readFile(paths.keystore, 'utf8');
    await writeFile(paths.keystore, text.replace(/"ciphertext":"../, '"ciphertext":"00'));
    await expect(unlock(paths, 'correct horse')).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
    await writeFile(paths.keystore, '{"version": 4}');
    await expect(unlock(paths, 'correct horse')).rejects.toMatchObject({ code: 'KEY_INVALID' });
    await expect(readAddress(paths)).rejects.toMatchObject({ code: 'KEY_INVALID' });
    await chmod(paths.keystore, 0o640);
    await expect(unlock(paths, 'correct horse')).rejects.toMatchObject({ code: 'KEY_EXPOSED' });
    await chmod(paths.keystore, 0o600);
    await writeFile(paths.key, privateKey, { mode: 0o600 });
    await expect(unlock(paths, 'correct horse')).rejects.toThrow(/two keys/);
  });
});

describe('the key', () => {
  test('is written for its owner only, and read back', async () => {
    const { paths } = await home();
    expect((await stat(paths.key)).mode & 0o777).toBe(0o600);
    expect((await unlock(paths)).address).toBe('0x17c5185167401ed00cf5f5b2fc97d9bbfdb7d025');
  });

  test.each([0o604, 0o640, 0o644, 0o601])('is refused when others can reach it (mode %o)', async (mode) => {
    const { paths } = await home();
    await chmod(paths.key, mode);
    await expect(unlock(paths)).rejects.toMatchObject({ code: 'KEY_EXPOSED' });
  });

  test.each([
    ['', 'empty'],
    ['0x1234', 'too short'],
    [`0x${'ff'.repeat(32)}`, 'out of range'],
    [`0x${'00'.repeat(32)}`, 'zero'],
  ])('is refused, and not shown, when it is none (%s: %s)', async (text) => {
    const { paths } = await home();
    await writeFile(paths.key, text);
    const error: unknown = await unlock(paths).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'KEY_INVALID' });
    if (text.length > 10) expect(JSON.stringify(error) + String(error)).not.toContain(text.slice(2));
  });

  test('signs texts and updates as ethers checks them', () => {
    const key = runnerKey(privateKey);
    expect(verifyMessage('hello', key.signText('hello')).toLowerCase()).toBe(key.address);
    const hash = `0x${'11'.repeat(32)}` as const;
    const statement = {
      job: hash,
      round: 3,
      openHash: hash,
      updateRoot: hash,
      dimension: 10,
      samples: 5,
      steps: 2,
    };
    const signature = key.signUpdate(config.chain, statement);
    const { chainId, jobs } = config.chain;
    expect(
      verifyTypedData(updateDomain(chainId, jobs), updateTypes, statement, signature).toLowerCase(),
    ).toBe(key.address);
    expect(key.signUpdate(config.chain, statement)).toBe(signature);
    expect(new SigningKey(privateKey).privateKey).toBe(privateKey);
  });
});

describe('the lock', () => {
  test('keeps a second process out, and lets it in when the first was killed', async () => {
    const { paths } = await home();
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    try {
      await until(() => other.pid !== undefined, 'the other process');
      const { readFileSync } = await import('node:fs');
      const fields = readFileSync(`/proc/${other.pid}/stat`, 'utf8');
      const started = fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19];
      await writeFile(paths.lock, JSON.stringify({ pid: other.pid, started }));
      await expect(lockHome(paths.lock)).rejects.toMatchObject({
        code: 'CONFLICT',
        details: { pid: other.pid },
      });
    } finally {
      other.kill('SIGKILL');
      await new Promise((resolve) => other.once('exit', resolve));
    }
    const release = await lockHome(paths.lock);
    await expect(lockHome(paths.lock)).rejects.toMatchObject({ code: 'CONFLICT' });
    release();
    (await lockHome(paths.lock))();
  });

  test('is not fooled by a process id that another program got since', async () => {
    const { paths } = await home();
    await writeFile(paths.lock, JSON.stringify({ pid: process.pid, started: '1' }));
    (await lockHome(paths.lock))();
  });
});
