import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, keccak256, Wallet } from 'ethers';
import type { Address } from '#contracts/deployment.js';
import { chunkOf, sumChunks, updateChunks } from '#audit/evidence.js';
import { fileAccusation } from '#audit/report.js';
import { jobsAbi } from '#contracts/generated/Jobs.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { attestationTypes, updateDomain } from '#core/eip712.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF } from '#core/merkle.js';
import { epochTree } from '#core/rewards.js';
import { closingFields } from '#services/chain/words.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import type { TransactionRequest } from '#services/chain/transactions.js';
import {
  addressOf,
  archiveId,
  closing,
  giveEther,
  hash,
  startChainStack,
  type ChainStack,
} from '#test/services/chainStack.js';
import { closeRandomRound } from './randomRound.js';

/** Gas of whole transactions (calldata and the base of 21,000 included) under the rules of this hardfork. */
const hardfork = 'prague';
const committed = JSON.parse(readFileSync('contracts/gas.json', 'utf8')) as Record<string, number>;

let stack: ChainStack;
beforeAll(async () => {
  stack = await startChainStack({ hardfork });
});
afterAll(() => stack.stop());

test('every call costs what contracts/gas.json says; a change of cost is a change of that file', async () => {
  const measured: Record<string, number> = {};
  const { calls, deployment, founder, member, anvil } = stack;
  const payer = addressOf(member);
  const send = async (wallet: Wallet, request: TransactionRequest, name?: string) => {
    const { gasUsed, hash } = await stack.sender(wallet).send(`step ${(steps += 1)}`, request);
    if (name !== undefined) measured[name] = Number(gasUsed);
    return hash;
  };
  let steps = 0;
  const passWindow = async () => {
    await anvil.provider.send('evm_increaseTime', [60]);
    await anvil.provider.send('evm_mine', []);
  };

  // Consortium
  await send(
    founder,
    calls.consortium.addMember(payer, 'A member', 'https://stack.member.example'),
    'addMember',
  );
  const runner = new Wallet(id('runner'));
  await giveEther(anvil, runner);
  await send(founder, calls.token.transfer(addressOf(runner), 1_000n));
  await send(runner, calls.token.approve(deployment.consortium, 1_000n));
  await send(runner, calls.consortium.register(payer, 100n), 'register');

  // Jobs
  const budget = 10n ** 21n;
  await send(founder, calls.token.transfer(payer, 4n * budget));
  await send(member, calls.token.approve(deployment.jobs, 4n * budget));
  const job = hash('job');
  const creation = {
    job,
    specHash: hash('spec'),
    parentVersion: null,
    genesisVersion: hash('genesis'),
    manifestHash: hash('manifest'),
    archiveId,
    rounds: 100,
    budget,
    coordinator: payer,
    terms: {
      dimension: 1_663_370,
      rule: 1,
      rate: { numerator: 1, denominator: 1 },
      momentum: { numerator: 0, denominator: 1 },
      attesters: 0,
      sampleCap: 0,
    },
    bond: budget,
  };
  await send(member, calls.jobs.create(creation), 'create, first job of a coordinator');
  await send(member, calls.jobs.create({ ...creation, job: hash('second') }), 'create, later job');
  await send(member, calls.jobs.open(job, 1, hash('open 1')), 'open');
  await send(member, calls.jobs.close(closing(job, 1)), 'close');
  await send(member, calls.jobs.close(closing(job, 1)), 'close, repeated');
  await send(member, calls.jobs.open(job, 2, hash('open 2')));
  await send(member, calls.jobs.closeAndOpen(closing(job, 2), hash('open 3')), 'closeAndOpen');
  await send(member, calls.jobs.close(closing(job, 3)));
  await send(member, calls.jobs.finish(job), 'finish');
  await passWindow();
  await send(member, calls.jobs.release(job, 1), 'release, first of a coordinator');
  await send(member, calls.jobs.release(job, 2), 'release, later');
  await send(member, calls.jobs.refund(job), 'refund');
  // What the epochs below pay.
  await send(founder, calls.token.approve(deployment.rewards, 10n * budget));
  await send(founder, calls.rewards.fund(payer, 10n * budget));

  // Rewards: 1,000 accounts that earn something in every epoch
  let epoch = 0;
  let before = new Map<Address, bigint>();
  const settle = async (count: number, name?: string) => {
    epoch += 1;
    const accounts = Array.from({ length: count }, (_, index) => account(index)).map((account) => {
      const previous = before.get(account) ?? 0n;
      const amount = 10n ** 15n;
      return { account, previous, cumulative: previous + amount, deltas: [{ job, round: epoch, amount }] };
    });
    before = new Map(accounts.map(({ account, cumulative }) => [account, cumulative]));
    const tree = epochTree(sha256, { accounts });
    const total = accounts.reduce((sum, { cumulative }) => sum + cumulative, 0n);
    await send(
      member,
      calls.rewards.publish(epoch, toHex(tree.root), count, total, hash(`epoch ${epoch}`)),
      name,
    );
    await passWindow();
    return tree.leaves;
  };
  const claim = async (leaf: Parameters<typeof calls.rewards.claim>[2] | undefined, name: string) => {
    if (leaf === undefined) throw new Error('The tree has no such leaf.');
    await send(founder, calls.rewards.claim(payer, epoch, leaf), name);
  };
  const four = await settle(4, 'publish, first epoch of a payer');
  await claim(four[2], 'claim, first of an account, 4 leaves');
  await claim((await settle(4))[2], 'claim, later, 4 leaves');
  await claim((await settle(16))[2], 'claim, later, 16 leaves');
  const thousand = await settle(1_000);
  await claim(thousand[2], 'claim, later, 1,000 leaves');
  await claim(thousand[2], 'claim, repeated, 1,000 leaves');
  await send(
    founder,
    calls.rewards.claimMany(payer, epoch, thousand.slice(4, 14)),
    'claimMany, first of 10 accounts, 1,000 leaves',
  );
  for (let published = epoch; published < 8; published += 1) await settle(1_000);
  await settle(1_000, 'publish, from the ninth epoch on');

  expectCommitted(measured);
});

/** Signatures and draws follow block hashes here, which differ from run to run by some gas. */
test('closing a round with three attesters and opening the next stays under 130,000', async () => {
  const { calls, deployment, founder, member, anvil } = stack;
  const send = (wallet: Wallet, name: string, request: TransactionRequest) =>
    stack.sender(wallet).send(`attested/${name}`, request);
  const job = hash('attested');
  const creation = {
    job,
    specHash: hash('spec'),
    parentVersion: null,
    genesisVersion: hash('genesis'),
    manifestHash: hash('manifest'),
    archiveId,
    rounds: 100,
    budget: 0n,
    coordinator: addressOf(member),
    terms: {
      dimension: 1_663_370,
      rule: 1,
      rate: { numerator: 1, denominator: 1 },
      momentum: { numerator: 0, denominator: 1 },
      attesters: 3,
      sampleCap: 0,
    },
    bond: 0n,
  };
  const others = Array.from({ length: 7 }, (_, i) => new Wallet(id(`attester ${i}`)));
  for (const wallet of others)
    await send(founder, `admit ${wallet.address}`, calls.consortium.addMember(addressOf(wallet), 'm', ''));
  await send(member, 'create', calls.jobs.create(creation));
  await send(member, 'open', calls.jobs.open(job, 1, hash('attested 1')));
  const jobs = typedContract(jobsAbi, deployment.jobs, anvil.provider);
  for (const round of [1, 2]) {
    await anvil.provider.send('anvil_mine', ['0x2']);
    const { opening } = await stack.chain.commitments(job, round);
    const fields = closing(job, round);
    const statement = { job, round, closing: keccak256(closingFields(opening ?? '0x', fields)) };
    const drawn = await jobs.read.drawn(job);
    const attestations = await Promise.all(
      [0, 1, 2, 3]
        .filter((place) => drawn[place] !== member.address)
        .slice(0, 3)
        .map(async (place) => {
          const wallet = others.find(({ address }) => address === drawn[place]);
          if (!wallet) throw new Error('Somebody else was drawn.');
          const domain = updateDomain(deployment.chainId, deployment.jobs);
          return {
            place,
            signature: (await wallet.signTypedData(domain, attestationTypes, statement)) as Hex,
          };
        }),
    );
    const next = hash(`attested ${round + 1}`);
    const call = calls.jobs.closeAttested(opening ?? '0x', fields, attestations, next);
    const { gasUsed } = await send(member, `close ${round}`, call);
    if (round === 2) expect(gasUsed).toBeLessThan(130_000n);
  }
});

test('every dispute costs what contracts/gas.json says, for a model of a million parameters', async () => {
  const measured: Record<string, number> = {};
  const { deployment, member, founder, calls, chain, anvil } = stack;
  // Calldata has words that say when: a zero byte more or less in them would be another figure.
  await anvil.provider.send('evm_setNextBlockTimestamp', [2_000_000_000]);
  await anvil.provider.send('anvil_setBlockTimestampInterval', [1]);
  const { judges } = chainCalls(deployment);
  await stack.sender(founder).send('disputes', calls.token.transfer(addressOf(member), 10n ** 6n));
  await stack.sender(member).send('allowance', calls.token.approve(deployment.jobs, 10n ** 6n));
  // One chunk more than 2^14: proofs have 15 hashes.
  const dimension = 2 ** 20 + 1;
  const chunk = 12_345;
  const off = (values: Float64Array | Int32Array | undefined) => {
    // Towards zero: a sum beyond what its weights allow would be refused before the chain sees it.
    const value = values?.[chunk * 64 + 1] ?? 0;
    if (values) values[chunk * 64 + 1] = value > 0 ? value - 1 : value + 1;
  };
  const report = async (name: string, call: ChainCall) => {
    const accusation = { what: '', kind: 'report', call } as const;
    const { gasUsed } = await fileAccusation(chain, stack.sender(founder), accusation);
    measured[name] = Number(gasUsed);
  };
  const wide = { runners: 16, dimension, seed: 1, same: true };
  const sum = await closeRandomRound(stack, 'gas', wide, { sums: (sums) => off(sums[0]?.[0]) });
  await report(
    'wrongSum, 16 runners, depth 15',
    judges.sums.wrongSum(
      sum.evidence.place({ level: 0, index: 0 }),
      chunkOf(sha256, LEAF.sum, sum.sums[0]?.[0] ?? new Float64Array(), chunk),
      updateChunks(sha256, sum.evidence, 0, sum.updates, chunk),
    ),
  );
  const robust = { rule: 'trimmed-mean', percent: 20 } as const;
  const trimmed = await closeRandomRound(
    stack,
    'gas',
    { ...wide, robust, seed: 5 },
    { sums: (sums) => off(sums[0]?.[0]) },
  );
  await report(
    'wrongRobustSum, 16 runners, depth 15',
    judges.robust.wrongRobustSum(
      trimmed.evidence.place({ level: 0, index: 0 }),
      chunkOf(sha256, LEAF.sum, trimmed.sums[0]?.[0] ?? new Float64Array(), chunk),
      updateChunks(sha256, trimmed.evidence, 0, trimmed.updates, chunk),
    ),
  );
  const step = await closeRandomRound(stack, 'gas', { ...wide, seed: 2 }, { params: off });
  await report('wrongStep, FedAvg, depth 15', judges.sums.wrongStep(...step.stepEvidence(chunk)));
  const momentum = { numerator: 9, denominator: 10 };
  const m = await closeRandomRound(stack, 'gas', { ...wide, momentum, seed: 3 }, { velocity: off });
  await report('wrongStep, FedAvgM, depth 15', judges.sums.wrongStep(...m.stepEvidence(chunk)));
  const upper = await closeRandomRound(
    stack,
    'gas',
    { runners: 128, dimension, seed: 4, same: true },
    { sums: (sums) => off(sums[1]?.[0]) },
  );
  const root = { level: 1, index: 0 };
  await report(
    'wrongUpperSum, 8 nodes, depth 15',
    judges.sums.wrongUpperSum(
      upper.evidence.place(root),
      chunkOf(sha256, LEAF.sum, upper.sums[1]?.[0] ?? new Float64Array(), chunk),
      sumChunks(sha256, upper.evidence, root, upper.sums[0] ?? [], chunk),
    ),
  );
  expectCommitted(measured);
}, 300_000);

const seen = new Set<string>();
afterAll(() => {
  expect([...seen].sort()).toEqual(Object.keys(committed).sort());
});

function expectCommitted(measured: Record<string, number>): void {
  const names = Object.keys(measured);
  for (const name of names) seen.add(name);
  expect(measured).toEqual(Object.fromEntries(names.map((name) => [name, committed[name]])));
}

/** Like real addresses, without zero bytes, which would cost less. */
function account(index: number): Address {
  return `0x${'ab'.repeat(16)}${(0x11111111 + index * 0x10101).toString(16)}`;
}
