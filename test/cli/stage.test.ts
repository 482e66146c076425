import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { checkIdentity, checkRegion, quotaChecks } from '#cli/stage/account.js';
import { compareClocks } from '#cli/stage/running.js';
import { judge, type Finding } from '#cli/stack/findings.js';
import { openStage } from '#cli/verbs/deploy.js';
import { deploymentAt } from '#contracts/deployment.js';
import { appGives, computeGives, parameterName } from '#infra/contract.js';
import { generateTlsKey, issueCertificate } from '#services/certificate.js';
import { createAuthority, issueFrom } from '#services/certificateAuthority.js';
import { startAws, type TestAws } from '../support/aws.js';
import { type } from './person.js';

const wallet = new Wallet(`0x${'11'.repeat(32)}`);
const contract = '0x00000000000000000000000000000000000000aa';
const deployment = deploymentAt(contract, 84532);
let folder: string;
let goodSecrets: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-stage-'));
  const example = JSON.parse(readFileSync('infra/stages/example.json', 'utf8')) as object;
  const settings = { ...example, coordinator: wallet.address.toLowerCase(), deployment };
  writeFileSync(join(folder, 'ada.json'), JSON.stringify(settings));
  const certificate = await issueCertificate({
    privateKey: generateTlsKey(),
    name: 'gatekeeper',
    seconds: 90 * 86_400,
    purpose: 'gatekeeper',
  });
  const made = await type(['temporal-certificates', '--stage', 'ada', '--out', 'temporal'], { folder });
  if (made.code !== 0) throw new Error(made.err);
  const file = (name: string) => readFileSync(join(folder, 'temporal', `${name}.json`), 'utf8');
  goodSecrets = {
    'coordinator-key': wallet.privateKey,
    'coordinator-sealing-key': `0x${'22'.repeat(32)}`,
    'arweave-key': JSON.stringify({ kty: 'RSA', n: 'n', e: 'AQAB', d: 'd' }),
    'chain-rpc-urls': 'https://a.example.org/KEY-OF-THE-NODE',
    'gatekeeper-certificate': certificate.certificate,
    'gatekeeper-key': certificate.privateKey,
    'gatekeeper-secrets': '33'.repeat(32),
    'temporal-credentials': file('temporal-credentials'),
    'temporal-server': file('temporal-server'),
    'database-authority': readFileSync(join(folder, 'temporal', 'authority.crt'), 'utf8'),
  };
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

let aws: TestAws;
let chain: { url: string; chainId: number; code: string; close(): Promise<void> };
beforeEach(async () => {
  aws = await startAws({
    secrets: Object.fromEntries(
      Object.entries(goodSecrets).map(([name, value]) => [`roundtable/ada/${name}`, value]),
    ),
    parameters: { '/cdk-bootstrap/hnb659fds/version': '21' },
    quotas: { 'L-B99A9384': 1000, 'L-0263D0A3': 5, 'L-F678F1CE': 5, 'L-3032A538': 100, 'L-3819A6DF': 8 },
  });
  chain = await startNode();
});
afterEach(async () => {
  await aws.close();
  await chain.close();
});

/** A node of a chain, as far as it is asked which chain it is and what is at an address. */
async function startNode(): Promise<typeof chain> {
  const node = { url: '', chainId: deployment.chainId, code: '0x6001', close: () => Promise.resolve() };
  const server = createServer((request, response) => {
    void (async () => {
      let body = '';
      for await (const piece of request) body += String(piece);
      const { id, method } = JSON.parse(body) as { id: number; method: string };
      const result = method === 'eth_chainId' ? `0x${node.chainId.toString(16)}` : node.code;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    })();
  });
  node.url = await listening(server);
  node.close = () => stopped(server);
  return node;
}

const listening = (server: Server) =>
  new Promise<string>((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    ),
  );
function stopped(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

const environment = { AWS_REGION: 'eu-central-1' };

async function doctor(...more: string[]): Promise<{ code: number; findings: Finding[]; out: string }> {
  const argv = ['doctor', '--stage', 'ada', '--settings', folder, '--rpc', chain.url, ...more, '--json'];
  const seen = await type(argv, { environment });
  return { code: seen.code, findings: seen.json<Finding[]>(), out: seen.out };
}
const of = (findings: Finding[], subject: string, containing = ''): Finding => {
  const found = findings.find((each) => each.subject === subject && each.detail.includes(containing));
  if (!found)
    throw new Error(`Nothing was found of ${subject} with ${containing}: ${JSON.stringify(findings)}`);
  return found;
};
const secretOf = async (name: string, value: string | null) => {
  aws.state.secrets[`roundtable/ada/${name}`] = value;
  const { findings, out } = await doctor();
  if (value !== null && value.length > 8) expect(out).not.toContain(value.trim());
  return of(findings, 'secret', `${name}:`);
};

describe('doctor --stage', () => {
  test('sees that every secret is what it should be, and shows none', async () => {
    const { findings, out } = await doctor();
    expect(of(findings, 'credentials')).toMatchObject({ state: 'ok' });
    for (const name of Object.keys(goodSecrets))
      expect(of(findings, 'secret', `${name}:`)).toMatchObject({ state: 'ok' });
    for (const value of Object.values(goodSecrets)) expect(out).not.toContain(value);
    expect(out).not.toContain('KEY-OF-THE-NODE');
  });

  test('names a secret that is missing, wrong, of another member or of another certificate', async () => {
    const other = new Wallet(`0x${'44'.repeat(32)}`);
    expect(await secretOf('gatekeeper-secrets', null)).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining('there is no roundtable/ada/gatekeeper-secrets yet'),
    });
    expect((await secretOf('coordinator-key', other.privateKey)).detail).toContain(
      other.address.toLowerCase(),
    );
    expect((await secretOf('coordinator-sealing-key', 'made-at-random-by-cdk')).state).toBe('fail');
    expect((await secretOf('gatekeeper-key', generateTlsKey())).detail).toContain('does not belong to');
    expect((await secretOf('chain-rpc-urls', 'http://plain.example.org')).detail).toContain('https');
    const noAuthority = await secretOf('database-authority', goodSecrets['gatekeeper-certificate'] ?? '');
    expect(noAuthority.detail).toContain('no list of certificates of authorities');
  });

  test('names a certificate that has expired, and warns of one that will', async () => {
    const authority = await createAuthority('test', 90 * 86_400);
    const issue = (seconds: number) => issueFrom(authority, { name: 'stack', hosts: [], seconds });
    const shown = async (seconds: number) =>
      JSON.stringify({ ...(await issue(seconds)), ca: authority.certificate });
    expect(await secretOf('temporal-credentials', await shown(-60))).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('expired on'),
    });
    expect(await secretOf('temporal-credentials', await shown(5 * 86_400 + 60))).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining('5 days are left'),
    });
  });

  test('names the parameters that a plane has not given, and what to deploy', async () => {
    expect(of((await doctor()).findings, 'parameters')).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('deploy Network, Database and Temporal'),
    });
    for (const name of computeGives) aws.state.parameters[parameterName('ada', name)] = 'given';
    expect(of((await doctor()).findings, 'parameters').detail).toContain('deploy the app plane');
    for (const name of appGives) aws.state.parameters[parameterName('ada', name)] = 'http://127.0.0.1:9';
    expect(of((await doctor()).findings, 'parameters').state).toBe('ok');
  });

  test('refuses contracts on another chain, and addresses without a contract', async () => {
    expect(of((await doctor()).findings, 'contracts')).toMatchObject({ state: 'ok' });
    chain.chainId = 8453;
    expect(of((await doctor()).findings, 'contracts')).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('serves chain 8453, the settings name 84532'),
    });
    chain.chainId = deployment.chainId;
    chain.code = '0x';
    expect(of((await doctor()).findings, 'contracts').detail).toContain(
      `no contract for token at ${contract}`,
    );
  });

  test('asks the API which stack it is, and compares the clocks', async () => {
    let health: object = { ok: true, stack: wallet.address.toLowerCase(), deployment, chainId: 84532 };
    let date = new Date();
    const server = createServer((_, response) => {
      response.sendDate = false;
      response.setHeader('date', date.toUTCString());
      response.end(JSON.stringify(health));
    });
    const url = await listening(server);
    try {
      const good = await doctor('--api', url);
      expect(of(good.findings, 'api').state).toBe('ok');
      expect(of(good.findings, 'clock').state).toBe('ok');
      date = new Date(Date.now() - 400_000);
      expect(of((await doctor('--api', url)).findings, 'clock')).toMatchObject({
        state: 'fail',
        detail: expect.stringContaining('ahead of the API'),
      });
      health = { ...health, stack: contract };
      expect(of((await doctor('--api', url)).findings, 'api').detail).toContain('is the stack of');
    } finally {
      await stopped(server);
    }
  });

  test('says without credentials what it could not ask, and asks the rest', async () => {
    delete process.env['AWS_ACCESS_KEY_ID'];
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
    const before = process.env['HOME'];
    process.env['HOME'] = folder;
    try {
      const { code, findings } = await doctor();
      expect(code).toBe(1);
      expect(of(findings, 'credentials')).toMatchObject({
        state: 'fail',
        detail: expect.stringContaining('There are no AWS credentials'),
      });
      expect(of(findings, 'contracts').state).toBe('ok');
      expect(of(findings, 'api').detail).toContain('--api');
    } finally {
      process.env['HOME'] = before;
    }
  });

  test('passes on what AWS refuses, by its own words', async () => {
    process.env['AWS_SECRET_ACCESS_KEY'] = 'of-another-key';
    expect(of((await doctor()).findings, 'credentials')).toMatchObject({
      state: 'fail',
      detail: expect.stringMatching(/signature we calculated.*Is the clock of this machine right/),
    });
  });
});

test.each([
  [0, 'ok'],
  [45_000, 'warn'],
  [-45_000, 'warn'],
  [301_000, 'fail'],
])('a clock that is %d ms from the API is %s', (skew, state) => {
  expect(compareClocks(1e12, 1e12 + skew)[0]).toBe(state);
});

const dryRun = async () => {
  const argv = ['deploy', '--dry-run', '--stage', 'ada', '--settings', folder, '--rpc', chain.url, '--json'];
  const seen = await type(argv, { environment });
  return seen.json<{ findings: Finding[]; stacks: { stack: string; resources: number }[] }>();
};

describe('deploy --dry-run', () => {
  test('finds account, region, quotas, secrets and contracts in order, and says what would be created', async () => {
    const { findings, stacks } = await dryRun();
    expect(findings.filter(({ state }) => state === 'fail')).toEqual(
      // The CDK's command wants a newer Node than the rest.
      Number(process.versions.node.split('.')[0]) >= 22
        ? []
        : [expect.objectContaining({ subject: 'versions' })],
    );
    expect(of(findings, 'region').detail).toContain('bootstrapped');
    expect(findings.filter(({ subject }) => subject === 'quota')).toHaveLength(5);
    const names = stacks.map(({ stack }) => stack).filter((stack) => stack !== 'App');
    expect(names).toEqual(['Network', 'Database', 'Temporal', 'Gatekeeper', 'Worker', 'Fleet']);
    for (const { resources } of stacks) expect(resources).toBeGreaterThan(5);
  }, 120_000);

  test('names another account, another region, a quota that is too small and a region that is not bootstrapped', async () => {
    aws.state.quotas['L-3032A538'] = 1;
    aws.state.parameters = {};
    const account = openStage('ada', folder);
    const findings = await judge([
      ['region', () => checkRegion(account, environment)],
      ...quotaChecks(account, 'production'),
    ]);
    expect(of(findings, 'quota', 'Fargate')).toMatchObject({ state: 'fail' });
    expect(of(findings, 'region').detail).toContain('npx cdk bootstrap aws://111122223333/eu-central-1');
    expect(await checkRegion(account, { AWS_REGION: 'us-east-1' })).toEqual([
      'fail',
      expect.stringContaining('the settings name eu-central-1, the environment us-east-1'),
    ]);
    aws.state.account = '999988887777';
    expect(await checkIdentity(account)).toEqual(['fail', expect.stringContaining('999988887777')]);
    aws.state.denied = ['GetServiceQuota'];
    const [denied] = await judge(quotaChecks(account, 'production'));
    expect(denied).toMatchObject({
      state: 'fail',
      detail: expect.stringContaining('not authorized to perform'),
    });
  });

  test('refuses to be a deployment, and a stage without settings', async () => {
    const deploying = await type(['deploy', '--stage', 'ada', '--settings', folder]);
    expect([deploying.code, deploying.err]).toEqual([2, expect.stringContaining('--dry-run')]);
    const unknown = await type(['deploy', '--dry-run', '--stage', 'bea', '--settings', folder]);
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('bea.json does not exist')]);
  });
});

const connect = (...more: string[]) => {
  writeFileSync(join(folder, 'member.key'), `${wallet.privateKey}\n`, { mode: 0o600 });
  const named = ['--stage', 'ada', '--settings', folder, '--rpc', chain.url, '--key', 'member.key'];
  return type(['--state', 'away', 'connect', ...named, ...more], { folder, environment });
};

describe('connect', () => {
  test('takes the address from the parameter, and refuses another stack, another chain, another key', async () => {
    const health = { ok: true, stack: wallet.address.toLowerCase(), chainId: 84532 };
    let answer: object = health;
    const server = createServer((_, response) => response.end(JSON.stringify(answer)));
    const url = await listening(server);
    try {
      expect((await connect()).err).toContain('has given no api/url yet');
      aws.state.parameters[parameterName('ada', 'api/url')] = url;
      answer = { ...health, stack: contract };
      expect((await connect()).err).toContain(`is the stack of ${contract}`);
      answer = { ...health, chainId: 1 };
      expect((await connect()).err).toContain('works on chain 1; the settings name 84532');
      writeFileSync(join(folder, 'other.key'), `0x${'44'.repeat(32)}\n`, { mode: 0o600 });
      expect((await connect('--key', 'other.key')).err).toContain('is the key of');
      expect(existsSync(join(folder, 'away'))).toBe(false);

      answer = health;
      expect(await connect()).toMatchObject({ code: 0, out: expect.stringContaining('ROUNDTABLE_STATE=') });
      const stack = JSON.parse(readFileSync(join(folder, 'away', 'stack.json'), 'utf8')) as object;
      expect(stack).toMatchObject({
        api: url,
        coordinator: wallet.address.toLowerCase(),
        gateway: 'https://arweave.net',
        chain: { deployment },
        keys: { coordinator: join(folder, 'member.key') },
      });
    } finally {
      await stopped(server);
    }
  });
});

describe('temporal-certificates', () => {
  test('signs again with the same authority, and shows no key', async () => {
    const before = readFileSync(join(folder, 'temporal', 'authority.crt'), 'utf8');
    const seen = await type(['temporal-certificates', '--stage', 'ada', '--out', 'temporal'], { folder });
    expect(seen.code).toBe(0);
    expect(readFileSync(join(folder, 'temporal', 'authority.crt'), 'utf8')).toBe(before);
    expect(seen.out).toContain('put-secret-value --secret-id roundtable/ada/temporal-server');
    expect(seen.out + seen.err).not.toContain('PRIVATE KEY');
  });
});
