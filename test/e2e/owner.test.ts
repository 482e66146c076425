import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { stringify } from 'yaml';
import type { Api } from '#cli/api.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { deployment } from '#contracts/deployment.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { giveEther, localProvider, localTerms, sendCall } from '#local/consortium/contracts.js';
import { encodeDataset } from '#local/consortium/dataset.js';
import { distFile } from '#local/paths.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { few } from '../support/digits.js';
import { digitsFile, digitsSpec } from '../support/digitsJob.js';
import { apiOf, untilEnded } from '../support/stackApi.js';
import { until } from '../support/until.js';

/** The whole way of a runner's owner, from an empty folder to the stake's return, as the owner types it. */
let folder: string;
let home: string;
let stack: LocalStack;
let api: Api;
let address: Hex;
let agent: ChildProcess | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-owner-'));
  home = join(folder, 'home');
  writeFileSync(join(folder, 'passphrase'), 'correct horse battery\n', { mode: 0o600 });
  stack = await startStack({ stateDir: join(folder, 'stack'), data: [], plan: [] });
  api = apiOf(stack);
}, 180_000);
afterAll(async () => {
  agent?.kill('SIGKILL');
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Typed {
  code: number | null;
  out: string;
  err: string;
  json: Record<string, unknown>;
}

/** One command of the runner's own package. */
async function owner(...argv: string[]): Promise<Typed> {
  return collect(spawn(process.execPath, [distFile('runner/owner.js'), ...argv], { env: environment() }));
}

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], HOME: folder });

async function collect(child: ChildProcess): Promise<Typed> {
  let [out, err] = ['', ''];
  child.stdout?.on('data', (text) => (out += String(text)));
  child.stderr?.on('data', (text) => (err += String(text)));
  child.stdin?.end();
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const last = out.trim().split('\n').at(-1) ?? '';
  return { code, out, err, json: last.startsWith('{') ? (JSON.parse(last) as Typed['json']) : {} };
}

const secret = () => ['--passphrase-file', join(folder, 'passphrase')];
const statusOf = async () => (await owner('status', home, '--json')).json;

test('init makes everything but what only the owner knows, and never overwrites', async () => {
  const made = await owner(
    'init',
    home,
    '--name',
    'owner-1',
    '--stack',
    stack.file.api,
    '--rpc-url',
    stack.file.chain.rpcUrl,
    '--json',
    ...secret(),
  );
  expect(made).toMatchObject({ code: 0, err: '' });
  address = made.json['address'] as Hex;
  expect(readdirSync(home).sort()).toEqual(
    [
      'data',
      'keystore.json',
      'models',
      'policy.yaml',
      'runner.yaml',
      'sealing.key',
      'tls.key',
      'work',
    ].sort(),
  );
  const before = readFileSync(join(home, 'keystore.json'), 'utf8');
  const again = await owner('init', home, '--json', ...secret());
  expect(again.json).toMatchObject({ address, made: [] });
  expect(readFileSync(join(home, 'keystore.json'), 'utf8')).toBe(before);
  expect((await owner('policy', 'check', home)).out).toContain('allows nothing');
});

test('register says exactly what is missing, then stakes and publishes, and once only', async () => {
  const poor = await owner('register', home, '--json', ...secret());
  expect(poor.code).toBe(1);
  expect(JSON.parse(poor.err) as object).toMatchObject({
    error: {
      code: 'CHAIN_INSUFFICIENT_FUNDS',
      message: expect.stringContaining(String(localTerms.minStake)),
    },
  });
  await fund();
  writeFileSync(join(home, 'data', 'digits.safetensors'), encodeDataset(few(400)));
  const registered = await owner('register', home, '--json', ...secret());
  expect(registered).toMatchObject({ code: 0 });
  expect(registered.json['steps']).toHaveLength(3);
  const repeated = await owner('register', home, '--json', ...secret());
  expect(repeated).toMatchObject({ code: 0, json: { steps: [] } });
  expect((await statusOf())['chain']).toMatchObject({ state: 'registered', published: true });
  const wrong = join(folder, 'wrong');
  writeFileSync(wrong, 'something else entirely', { mode: 0o600 });
  const refused = await owner('register', home, '--passphrase-file', wrong);
  expect(refused.err).toContain('PASSPHRASE_WRONG');
  expect(refused.err).not.toContain('something else');
});

test('policy check says what a job may, and why not', async () => {
  const job = join(folder, 'job.yaml');
  writeFileSync(job, stringify(digitsFile(written)));
  const asked = ['policy', 'check', home, '--job', job, '--coordinator', stack.file.coordinator];
  expect((await owner(...asked)).out).toContain('has not allowed any job yet');
  writeFileSync(
    join(home, 'policy.yaml'),
    stringify({ allow: [{ coordinators: [stack.file.coordinator], jobs: ['owner-*'], data: ['digits'] }] }),
  );
  expect(await owner(...asked)).toMatchObject({ code: 0, out: expect.stringContaining('by rule 1') });
});

test('enrol enters the stack once', async () => {
  const entered = await owner('enrol', home, '--json', ...secret());
  expect(entered).toMatchObject({ code: 0 });
  expect(JSON.parse(entered.out) as object[]).toMatchObject([
    { coordinator: stack.file.coordinator, answer: { gatekeeper: expect.stringMatching(/^127\.0\.0\.1:/) } },
  ]);
});

describe('start', () => {
  test('runs the runner, which takes part in a job', async () => {
    agent = spawn(process.execPath, [distFile('runner/owner.js'), 'start', home, ...secret()], {
      env: environment(),
    });
    let log = '';
    for (const stream of [agent.stdout, agent.stderr]) stream?.on('data', (text) => (log += String(text)));
    await until(() => log.includes('waiting for tasks'), 'the runner waits for tasks', 90);
    expect(log).toContain('registered on chain');
    const spec = await digitsSpec(api, stack, written);
    await until(async () => (await api.runners())[0]?.state === 'idle', 'the runner is there', 90);
    const { job } = await api.submit({ key: 'owner-submission', spec });
    expect(await untilEnded(api, job)).toMatchObject({ state: 'done', round: 1 });
    expect((await api.rounds(job))[0]?.participants).toMatchObject([{ runner: address, samples: 400 }]);
  }, 120_000);

  test('status shows it at work, without the passphrase', async () => {
    expect(await statusOf()).toMatchObject({
      running: true,
      address,
      chain: { state: 'registered', stake: String(localTerms.minStake) },
      stacks: [{ coordinator: stack.file.coordinator, answer: { runner: address, suspension: null } }],
      data: [{ name: 'digits', samples: 400 }],
    });
    const shown = (await owner('status', home)).out;
    for (const part of ['running', 'registered for', 'enrolled', 'certificate until', 'digits: 400 samples'])
      expect(shown).toContain(part);
  });

  test('log names what was allowed, and verifies', async () => {
    const { out } = await owner('log', home);
    expect(out).toContain('allowed   owner-digits, round 1, on digits, by rule 1');
    expect(await owner('log', home, '--verify')).toMatchObject({ code: 0 });
  });

  test('a suspension shows in the status with its reason', async () => {
    await api.act({ action: 'runner.suspend', target: address, reason: 'its owner is on holiday' });
    const shown = await owner('status', home);
    expect(shown.out).toContain('suspended since');
    expect(shown.out).toContain('its owner is on holiday');
    await api.act({ action: 'runner.resume', target: address });
  });
});

test('revoke makes its certificates worthless; it enters again with another TLS key, once that is published', async () => {
  const busy = await owner('revoke', home, ...secret());
  expect(busy).toMatchObject({ code: 1, err: expect.stringContaining('CONFLICT') });
  const ended = new Promise((resolve) => agent?.once('exit', resolve));
  agent?.kill('SIGINT');
  expect(await ended).toBe(0);
  const before = readFileSync(join(home, 'tls.key'), 'utf8');
  const revoked = await owner('revoke', home, '--json', ...secret());
  const [visit] = JSON.parse(revoked.out) as { answer: Hex[] }[];
  // One of `enrol`, one of `start`.
  expect(visit?.answer).toHaveLength(2);
  expect((await owner('enrol', home, ...secret())).out).toContain('roundtable-runner register');
  expect((await owner('register', home, '--json', ...secret())).json['steps']).toHaveLength(1);
  // The stack keeps the chain's answers for some seconds.
  await until(
    async () => (await owner('enrol', home, ...secret())).code === 0,
    'the stack knows the new key',
    90,
  );
  expect(readFileSync(join(home, 'tls.key'), 'utf8')).not.toBe(before);
  expect(await owner('log', home, '--verify')).toMatchObject({ code: 0 });
}, 180_000);

test('leave ends its part, and the stake comes back after the unbonding period', async () => {
  const left = await owner('leave', home, '--json', ...secret());
  expect(left).toMatchObject({ code: 0, json: { stakeFree: expect.any(String) } });
  expect((await owner('leave', home, '--withdraw', ...secret())).err).toContain('The stake is free at');
  const provider = localProvider(stack.file.chain.rpcUrl);
  await provider.send('evm_increaseTime', [localTerms.unbondingSeconds + 1]);
  await provider.send('evm_mine', []);
  provider.destroy();
  expect(await owner('leave', home, '--withdraw', '--json', ...secret())).toMatchObject({ code: 0 });
  expect((await statusOf())['chain']).toMatchObject({
    state: 'left',
    stake: '0',
    tokens: String(localTerms.minStake),
  });
}, 60_000);

const written = {
  name: 'owner-digits',
  data: { contract: 'digits', input: [1, 28, 28], classes: 10, purpose: 'research' },
  participants: { quorum: 1 },
};

/** The stake and gas money, as the owner would be sent them. */
async function fund(): Promise<void> {
  const { token } = deployment.parse(stack.file.chain.deployment);
  const provider = localProvider(stack.file.chain.rpcUrl);
  try {
    const founder = new Wallet(readFileSync(String(stack.file.keys['founder']), 'utf8').trim());
    await giveEther(provider, address);
    const { call } = typedContract(tokenAbi, token);
    await sendCall(founder, provider, call.transfer(address, localTerms.minStake));
  } finally {
    provider.destroy();
  }
}
