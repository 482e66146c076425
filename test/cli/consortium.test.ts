import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import type { Deployment } from '#contracts/deployment.js';
import { openChain } from '#services/chain.js';
import { startAnvil, type Anvil } from '#test/anvil.js';
import { addressOf, giveEther } from '../services/chainStack.js';
import { type, type Seen } from './person.js';

/** From an agreement to a consortium: founded, joined, voted on, left; as those who do it type it. */
const folder = mkdtempSync(join(tmpdir(), 'roundtable-consortium-'));
const people = Object.fromEntries(
  ['founder', 'north', 'south', 'west', 'stranger'].map((name) => [name, new Wallet(id(name))]),
) as Record<'founder' | 'north' | 'south' | 'west' | 'stranger', Wallet>;
let anvil: Anvil;
beforeAll(async () => {
  anvil = await startAnvil();
  for (const [name, wallet] of Object.entries(people)) {
    await giveEther(anvil, wallet);
    writeFileSync(join(folder, `${name}.key`), `${wallet.privateKey}\n`, { mode: 0o600 });
  }
}, 60_000);
afterAll(async () => {
  await anvil.stop();
  rmSync(folder, { recursive: true });
});

const rules = readFileSync('examples/consortium.yaml', 'utf8');
const found = (text: string): Promise<Seen> => {
  writeFileSync(join(folder, 'consortium.yaml'), text);
  const argv = ['consortium', 'found', 'consortium.yaml', '--key', 'founder.key', '--rpc', anvil.url];
  return type([...argv, '--json'], { folder });
};
const as = (who: keyof typeof people, verb: string, ...argv: string[]): Promise<Seen> =>
  type(
    ['--state', who, 'consortium', verb, ...argv, '--key', `${who}.key`, '--stage', 'stage.json'].concat([
      '--rpc',
      anvil.url,
      '--json',
    ]),
    { folder },
  );
const profile = (name: string) => ['--name', name, '--url', `https://${name}.example.org`];

let deployment: Deployment;
test('a consortium is founded by the rules in a file, which its contracts have then', async () => {
  const seen = await found(rules.replace('windowHours: 48', 'windowHours: 0.5'));
  expect(seen).toMatchObject({ code: 0, err: '' });
  deployment = seen.json<Deployment>();
  writeFileSync(join(folder, 'stage.json'), JSON.stringify({ deployment }));
  const chain = openChain({ rpcUrls: [anvil.url], deployment });
  try {
    expect(await chain.minStake()).toBe(100n * 10n ** 18n);
    expect(await chain.unbondingSeconds()).toBe(168 * 3_600);
    expect(await chain.token()).toBe(deployment.token);
  } finally {
    chain.close();
  }
});

test('another one is founded on a token that is there, with judges of its own', async () => {
  const seen = await found(rules.replace('token: new', `token: '${deployment.token}'`));
  const second = seen.json<Deployment>();
  expect(second.token).toBe(deployment.token);
  expect(second.consortium).not.toBe(deployment.consortium);
  for (const judge of Object.values(second.judges))
    expect(await anvil.provider.getCode(judge)).not.toBe('0x');
});

test('rules that are wrong are named, and nothing is deployed for them', async () => {
  const before = await anvil.provider.getBlockNumber();
  expect((await found(rules.replace('minStake:', 'leastStake:'))).err).toMatch(/minStake[\s\S]*leastStake/);
  expect((await found(rules.replace('token: new', `token: '0x${'12'.repeat(20)}'`))).err).toContain(
    'There is no contract at',
  );
  expect(await anvil.provider.getBlockNumber()).toBe(before);
});

test('the founder admits members, and a stranger nobody', async () => {
  for (const name of ['north', 'south', 'west'] as const)
    expect((await as('founder', 'admit', people[name].address, ...profile(name))).json()).toMatchObject({
      done: true,
    });
  expect((await as('founder', 'admit', people.north.address, ...profile('north'))).json()).toEqual({
    done: true,
    transaction: null,
  });
  const refused = await as('stranger', 'admit', people.stranger.address, ...profile('stranger'));
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('is no member of the consortium') });
});

test('a member names the place of its stack anew', async () => {
  const there = ['--name', 'north', '--url', 'https://elsewhere.example.org'];
  expect((await as('north', 'describe', ...there)).json()).toMatchObject({ done: true });
  expect((await list()).json()).toMatchObject([
    { name: 'north', url: 'https://elsewhere.example.org', sealingKey: null },
    { name: 'south' },
    { name: 'west' },
  ]);
});

test('more than half of the members vote one out, and in again', async () => {
  const west = people.west.address;
  expect((await as('north', 'remove', west)).json()).toMatchObject({ done: false });
  expect((await as('south', 'remove', west)).json()).toMatchObject({ done: true });
  expect((await list()).json<unknown[]>()).toHaveLength(2);
  // A vote has passed, so the founder's key is worth nothing any more.
  expect(await as('founder', 'admit', west, ...profile('west'))).toMatchObject({ code: 1 });
  expect((await as('north', 'admit', west, ...profile('west'))).json()).toMatchObject({ done: false });
  expect((await as('south', 'admit', west, ...profile('west'))).json()).toMatchObject({ done: true });
  expect((await list()).json()).toContainEqual(expect.objectContaining({ member: addressOf(people.west) }));
});

test('a chain that the table of chains lacks is described by the stage, or by CHAIN_NETWORK', async () => {
  const elsewhere = { ...deployment, chainId: 424_242 };
  const chainNetwork = {
    name: 'elsewhere',
    confirmations: 1,
    reorgDepth: 1,
    blockSeconds: 1,
    minWindowSeconds: 0,
    maxFeePerGas: '1',
    maxCost: '1',
  };
  const listed = (settings: object, environment = {}) => {
    writeFileSync(join(folder, 'elsewhere.json'), JSON.stringify({ deployment: elsewhere, ...settings }));
    const argv = ['consortium', 'members', '--stage', 'elsewhere.json', '--rpc', anvil.url];
    return type(argv, { folder, environment });
  };
  expect((await listed({})).err).toContain('CHAIN_UNKNOWN');
  // Then the node is asked, which is one of another chain.
  expect((await listed({ chainNetwork })).err).toContain('CHAIN_WRONG_NETWORK');
  const environment = { CHAIN_NETWORK: JSON.stringify(chainNetwork) };
  expect((await listed({}, environment)).err).toContain('CHAIN_WRONG_NETWORK');
  expect((await listed({}, { CHAIN_NETWORK: '{"confirmations":-1}' })).err).toContain('CHAIN_NETWORK');
});

const list = (): Promise<Seen> =>
  type(['consortium', 'members', '--stage', 'stage.json', '--rpc', anvil.url, '--json'], { folder });
