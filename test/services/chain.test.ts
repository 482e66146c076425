import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet, id } from 'ethers';
import { openChain } from '#services/chain.js';
import { closingFields, creationFields, openingFields, wordHolds, wordTime } from '#services/chain/words.js';
import {
  addressOf,
  archiveId,
  closing,
  giveEther,
  hash,
  startChainStack,
  type ChainStack,
} from './chainStack.js';

let stack: ChainStack;
const runner = new Wallet(id('runner'));
const job = hash('job');

beforeAll(async () => {
  stack = await startChainStack();
  const { calls, deployment, founder, member, anvil } = stack;
  const asFounder = stack.sender(founder);
  await giveEther(anvil, runner);
  await asFounder.send('add', calls.consortium.addMember(addressOf(member), 'Clinic', 'http://127.0.0.1:1'));
  await asFounder.send('fund member', calls.token.transfer(addressOf(member), 5_000n));
  await asFounder.send('fund runner', calls.token.transfer(addressOf(runner), 100n));
  const asRunner = stack.sender(runner);
  await asRunner.send('runner/approve', calls.token.approve(deployment.consortium, 100n));
  await asRunner.send('runner/register', calls.consortium.register(addressOf(member), 100n));
  const asMember = stack.sender(member);
  await asMember.send('approve', calls.token.approve(deployment.jobs, 2_000n));
  await asMember.send('job/create', calls.jobs.create({ ...creation, ...byMember() }));
});
afterAll(() => stack.stop());

const creation = {
  job,
  specHash: hash('spec'),
  parentVersion: null,
  genesisVersion: hash('genesis'),
  manifestHash: hash('genesis manifest'),
  archiveId,
  rounds: 3,
  budget: 1_000n,
  terms: {
    dimension: 100,
    rule: 1,
    rate: { numerator: 1, denominator: 2 },
    momentum: { numerator: 0, denominator: 1 },
    attesters: 0,
    sampleCap: 0,
  },
};
const byMember = () => ({ coordinator: addressOf(stack.member), bond: 1_000n });

describe('members and runners', () => {
  test('are listed as they described themselves last', async () => {
    const { chain, calls, member } = stack;
    expect(await chain.members()).toEqual([
      { member: addressOf(member), name: 'Clinic', url: 'http://127.0.0.1:1' },
    ]);
    await stack.sender(member).send('describe', calls.consortium.describe('Clinic', 'https://new.example'));
    expect(await chain.members()).toEqual([
      { member: addressOf(member), name: 'Clinic', url: 'https://new.example' },
    ]);
    expect(await chain.isMember(addressOf(member))).toBe(true);
    expect(await chain.isMember(addressOf(runner))).toBe(false);
  });

  test('are known with their stake until they leave, and who never registered is null', async () => {
    const { chain, calls, member } = stack;
    const expected = { runner: addressOf(runner), member: addressOf(member), stake: 100n, leftAt: null };
    expect(await chain.runner(addressOf(runner))).toMatchObject(expected);
    expect(await chain.runners()).toMatchObject([expected]);
    expect(await chain.runner(addressOf(member))).toBeNull();
    await stack.sender(runner).send('exit', calls.consortium.exit());
    const left = await chain.runner(addressOf(runner));
    expect(left?.leftAt).toBeGreaterThanOrEqual(left?.registeredAt ?? Infinity);
    expect(await chain.minStake()).toBe(100n);
  });
});

describe('a job', () => {
  test('is read with what it was created with and where it stands', async () => {
    const { chain, member, calls } = stack;
    const coordinator = stack.sender(member);
    expect(await chain.job(job)).toMatchObject({
      ...creation,
      coordinator: addressOf(member),
      latest: 0,
      phase: 'idle',
    });
    expect((await chain.purse(addressOf(member))).funded).toBe(0n);
    await coordinator.send('open 1', calls.jobs.open(job, 1, hash('open 1')));
    expect(await chain.job(job)).toMatchObject({ latest: 1, phase: 'open' });
    await coordinator.send('close 1', calls.jobs.closeAndOpen(closing(job, 1), hash('open 2')));
    const sent = await coordinator.send('close 2', calls.jobs.close(closing(job, 2)));
    await coordinator.send('finish', calls.jobs.finish(job));
    expect(await chain.job(job)).toMatchObject({ latest: 2, phase: 'finished' });
    expect(await chain.rounds(job)).toMatchObject([
      { round: 1, openHash: hash('open 1'), closing: closing(job, 1) },
      {
        round: 2,
        openHash: hash('open 2'),
        closing: { ...closing(job, 2), block: sent.block, transaction: sent.hash },
      },
    ]);
    expect(await chain.closedVersions(closing(job, 2).versionId)).toMatchObject([{ job, round: 2 }]);
    expect(await chain.closedVersions(hash('unknown'))).toEqual([]);
    expect(await chain.job(hash('unknown'))).toBeNull();
    expect(await chain.rounds(hash('unknown'))).toEqual([]);
  });

  test('has commitments in storage that its events lead to', async () => {
    const { chain } = stack;
    const found = await chain.job(job);
    const genesis = (await chain.commitments(job, 0)).closing;
    if (!found || !genesis) throw new Error('The job is not there.');
    expect(wordHolds(genesis, creationFields(found))).toBe(true);
    expect(wordHolds(genesis, creationFields({ ...found, budget: 999n }))).toBe(false);
    const { opening, closing: closed } = await chain.commitments(job, 1);
    if (!opening || !closed) throw new Error('Round 1 is not there.');
    expect(wordHolds(opening, openingFields(genesis, job, 1, hash('open 1')))).toBe(true);
    expect(wordHolds(opening, openingFields(genesis, job, 1, hash('open 2')))).toBe(false);
    expect(wordHolds(closed, closingFields(opening, closing(job, 1)))).toBe(true);
    expect(wordHolds(closed, closingFields(opening, closing(job, 2)))).toBe(false);
    const block = await stack.anvil.provider.getBlock((await chain.rounds(job))[0]?.closing?.block ?? 0);
    expect(wordTime(closed)).toBe(block?.timestamp);
    expect(await chain.commitments(job, 3)).toEqual({ opening: null, closing: null });
  });

  test('counts events only when they are deep enough', async () => {
    const { chain, anvil } = stack;
    const [first] = await chain.rounds(job);
    const depth = (await chain.blockNumber()) - (first?.block ?? 0);
    expect(await chain.rounds(job, { confirmations: depth })).toMatchObject([{ round: 1, closing: null }]);
    expect(await chain.job(job, { confirmations: depth })).toMatchObject({ latest: 1, phase: 'open' });
    expect(await chain.rounds(job, { confirmations: depth + 1 })).toEqual([]);
    await anvil.provider.send('anvil_mine', ['0x1']);
    expect(await chain.rounds(job, { confirmations: depth + 1 })).toHaveLength(1);
  });
});

describe('trouble', () => {
  test('an endpoint that is down is passed over, and its path is in no error', async () => {
    const { anvil, deployment } = stack;
    const chain = openChain({ rpcUrls: ['http://127.0.0.1:9/secret', anvil.url], deployment });
    expect(await chain.blockNumber()).toBeGreaterThan(0);
    const dead = openChain({ rpcUrls: ['http://127.0.0.1:9/secret'], deployment });
    const error = await dead.blockNumber().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CHAIN_UNREACHABLE' });
    expect(String(error)).toContain('127.0.0.1:9');
    expect(String(error)).not.toContain('secret');
    chain.close();
    dead.close();
  });

  test('another chain, and one without the contracts, are told apart from ours', async () => {
    const { anvil, deployment } = stack;
    const other = openChain({ rpcUrls: [anvil.url], deployment: { ...deployment, chainId: 10 } });
    await expect(other.isMember(deployment.jobs)).rejects.toMatchObject({
      code: 'CHAIN_WRONG_NETWORK',
      message: expect.stringContaining('serves chain 31337, expected 10'),
    });
    const empty = openChain({
      rpcUrls: [anvil.url],
      deployment: { ...deployment, jobs: `0x${'1'.repeat(40)}` },
    });
    await expect(empty.blockNumber()).rejects.toMatchObject({ code: 'CHAIN_WRONG_NETWORK' });
    other.close();
    empty.close();
  });

  test('an endpoint that limits the span of a question gets smaller questions', async () => {
    const { server, url, spans } = await limitedEndpoint(stack.anvil.url, 4);
    const chain = openChain({ rpcUrls: [url], deployment: stack.deployment });
    expect(await chain.rounds(job)).toEqual(await stack.chain.rounds(job));
    expect(Math.max(...spans)).toBeGreaterThan(4);
    chain.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

/** Passes everything on to anvil, except questions for events of more than `most` blocks. */
async function limitedEndpoint(
  target: string,
  most: number,
): Promise<{ server: Server; url: string; spans: number[] }> {
  const spans: number[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat(await request.toArray()).toString();
      const { id, method, params } = JSON.parse(body) as {
        id: number;
        method: string;
        params: [Record<string, string>];
      };
      const span = Number(params[0]?.toBlock) - Number(params[0]?.fromBlock) + 1;
      if (method === 'eth_getLogs') spans.push(span);
      if (method === 'eth_getLogs' && span > most)
        return response.end(
          JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32005, message: 'block range too large' } }),
        );
      const answer = await fetch(target, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      return response.end(await answer.text());
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans };
}
