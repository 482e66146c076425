import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sha256 } from '#services/sha256.js';
import { toHex } from '#core/hex.js';
import { epochTree, type AccountRewards } from '#core/rewards.js';
import { addressOf, hash, startChainStack, type ChainStack } from './chainStack.js';

let stack: ChainStack;
const accounts = ['a', 'b', 'c'].map((name) => hash(name).slice(0, 42) as `0x${string}`);
const job = hash('job');

beforeAll(async () => {
  stack = await startChainStack();
  const { calls, deployment, founder, member } = stack;
  const asFounder = stack.sender(founder);
  await asFounder.send('approve', calls.token.approve(deployment.rewards, 1_000n));
  await asFounder.send('fund', calls.rewards.fund(addressOf(member), 1_000n));
});
afterAll(() => stack.stop());

test('an epoch computed in TypeScript is published, takes effect after its window, and is claimed on chain', async () => {
  const { calls, chain, member, founder, anvil } = stack;
  const payer = addressOf(member);
  const tree = epochTree(sha256, {
    accounts: accounts.map((account, index) => earned(account, 0n, BigInt(100 + index))),
  });
  const published = await stack
    .sender(member)
    .send('epoch 1', calls.rewards.publish(1, toHex(tree.root), 3, 303n, hash('m')));
  expect(await chain.purse(payer)).toEqual({ funded: 1_000n, paid: 0n, bond: 0n, latest: 1, inEffect: 0 });

  const [first] = tree.leaves;
  if (first === undefined) throw new Error('no leaves');
  const anyone = stack.sender(founder);
  await expect(anyone.send('too early', calls.rewards.claim(payer, 1, first))).rejects.toMatchObject({
    details: { error: 'NotInEffect' },
  });
  await anvil.provider.send('evm_increaseTime', [60]);
  await anvil.provider.send('evm_mine', []);
  expect((await chain.purse(payer)).inEffect).toBe(1);

  const claim = await anyone.send('claim', calls.rewards.claim(payer, 1, first));
  await anyone.send('claim again', calls.rewards.claim(payer, 1, first));
  await anyone.send('claim all', calls.rewards.claimMany(payer, 1, tree.leaves));
  for (const { account, cumulative } of tree.leaves) {
    expect(await chain.balance(account)).toBe(cumulative);
    expect(await chain.claimed(payer, account)).toBe(cumulative);
  }
  expect(await chain.purse(payer)).toEqual({ funded: 1_000n, paid: 303n, bond: 0n, latest: 1, inEffect: 1 });
  expect(await chain.epochs(payer)).toMatchObject([
    {
      payer,
      epoch: 1,
      root: toHex(tree.root),
      leaves: 3,
      total: 303n,
      manifestHash: hash('m'),
      transaction: published.hash,
    },
  ]);
  expect(await chain.claims(payer)).toMatchObject([
    { payer, account: first.account, epoch: 1, amount: first.cumulative, transaction: claim.hash },
    { account: tree.leaves[1]?.account },
    { account: tree.leaves[2]?.account },
  ]);
  expect(await chain.epochs(addressOf(founder))).toEqual([]);
});

function earned(account: `0x${string}`, previous: bigint, amount: bigint): AccountRewards {
  return { account, previous, cumulative: previous + amount, deltas: [{ job, round: 1, amount }] };
}
