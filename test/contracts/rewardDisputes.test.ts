import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import type { Accusation } from '#audit/dispute.js';
import { fileAccusation } from '#audit/report.js';
import { toHex, type Hex } from '#core/hex.js';
import { MerkleTree } from '#core/merkle.js';
import { apportion, epochTree, rewardLeafHash, type RewardDelta, type RewardLeaf } from '#core/rewards.js';
import { chainCalls } from '#services/chainCalls.js';
import { sha256 } from '#services/sha256.js';
import {
  addressOf,
  admitMember,
  giveEther,
  hash,
  startChainStack,
  type ChainStack,
} from '#test/services/chainStack.js';
import { closeRandomRound, type RandomRound } from './randomRound.js';

const payerBond = 500n;
const stranger = new Wallet(id('a stranger'));
/** Two jobs with the same 20 runners (two bottom nodes); epoch 1 pays the first, epoch 2 the second. */
let stack: ChainStack;
let rounds: [RandomRound, RandomRound];

beforeAll(async () => {
  stack = await startChainStack({ payerBond });
  const { calls, founder, member, deployment, anvil } = stack;
  await giveEther(anvil, stranger);
  const takers = [deployment.jobs, deployment.rewards];
  await admitMember(stack, member, { name: 'm', tokens: 10n ** 6n, takers });
  const shape = { runners: 20, dimension: 10 };
  rounds = [
    await closeRandomRound(stack, 'first', { ...shape, seed: 1 }),
    await closeRandomRound(stack, 'second', { ...shape, seed: 2 }),
  ];
  await passWindow();
  for (const { job } of rounds) await stack.sender(member).send(`release ${job}`, calls.jobs.release(job, 1));
  await publish(1, epochOf(1));
  await passWindow();
  // So that a lie about the total is not stopped by what is funded.
  await stack.sender(founder).send('approve', calls.token.approve(deployment.rewards, 10n));
  await stack.sender(founder).send('fund', calls.rewards.fund(payer(), 10n));
});
afterAll(() => stack.stop());

type Epoch = ReturnType<typeof epochOf>;

test('an epoch needs the bond that its payer stands to lose', async () => {
  const { calls, founder } = stack;
  const call = calls.rewards.publish(1, hash('root'), 1, 0n, hash('manifest'));
  await expect(stack.sender(founder).send('no bond', call)).rejects.toMatchObject({
    details: { error: 'BondTooSmall' },
  });
});

test('a wrong total is revoked by its last line', async () => {
  const epoch = epochOf(2);
  await convicted({ ...epoch, total: epoch.total + 1n }, () =>
    judges().wrongTotal(payer(), 2n, line(epoch, 19)),
  );
});

test('a line that does not continue the one before is revoked', async () => {
  const epoch = changed(epochOf(2), (leaves) =>
    leaves.map((leaf, i) => (i > 7 ? { ...leaf, totalPrefix: leaf.totalPrefix + 1n } : leaf)),
  );
  await convicted(epoch, () => judges().wrongOrder(payer(), 2n, line(epoch, 7), line(epoch, 8)));
});

test('an account that is there twice is revoked', async () => {
  const epoch = changed(epochOf(2), (leaves) =>
    leaves.map((leaf, i) => (i === 4 ? { ...leaf, account: leaves[3]?.account ?? leaf.account } : leaf)),
  );
  await convicted(epoch, () => judges().wrongOrder(payer(), 2n, line(epoch, 3), line(epoch, 4)));
});

test('a line that forgets what the epoch before says is revoked', async () => {
  const epoch = changed(epochOf(2), (leaves) =>
    leaves.map((leaf, i) => (i === 5 ? { ...leaf, previous: leaf.previous - 1n } : leaf)),
  );
  const first = epochOf(1);
  await convicted(epoch, () => judges().wrongPrevious(payer(), 2n, line(epoch, 5), [line(first, 5)]));
});

test('an account that comes from nowhere with a past is revoked', async () => {
  const account = '0x0000000000000000000000000000000000000001' as Hex;
  const epoch = changed(epochOf(2), (leaves) => [
    { ...(leaves[0] as RewardLeaf), account, cumulative: 0n, previous: 1n },
    ...leaves,
  ]);
  const first = epochOf(1);
  await convicted(epoch, () => judges().wrongPrevious(payer(), 2n, line(epoch, 0), [line(first, 0)]));
});

test('an account that is left out is revoked', async () => {
  const epoch = changed(epochOf(2), (leaves) => leaves.filter((_, i) => i !== 11));
  const first = epochOf(1);
  await convicted(epoch, () =>
    judges().omitted(payer(), 2n, line(first, 11), [line(epoch, 10), line(epoch, 11)]),
  );
});

test('a cumulative that its deltas do not lead to is revoked', async () => {
  const epoch = changed(epochOf(2), (leaves) =>
    leaves.map((leaf, i) => (i === 2 ? { ...leaf, cumulative: leaf.cumulative + 1n } : leaf)),
  );
  await convicted(epoch, () => judges().wrongDeltas(payer(), 2n, line(epoch, 2), epoch.deltas(2)));
});

test('a round that was never released is revoked', async () => {
  const epoch = epochOf(2, (deltas) => deltas.map((delta) => ({ ...delta, round: 2 })));
  await convicted(epoch, () => judges().unreleased(payer(), 2n, line(epoch, 2), epoch.deltas(2), 0n));
});

test.each([3, 17])("a share that is not runner %i's is revoked", async (runner) => {
  const epoch = epochOf(2, (deltas, i) =>
    deltas.map((delta) => ({
      ...delta,
      amount: delta.amount + (i === runner ? 1n : i === 19 ? -1n : 0n),
    })),
  );
  await convicted(epoch, () =>
    judges().wrongAmount(payer(), 2n, line(epoch, runner), epoch.deltas(runner), 0n, ...standing(runner)),
  );
});

test('a runner that is not paid for a round that others are paid for is revoked', async () => {
  const runner = paidRunner();
  const other = runner === 0 ? 1 : 0;
  const epoch = epochOf(2, (deltas, i) => (i === runner ? [] : deltas));
  await convicted(epoch, () =>
    judges().unpaid(
      payer(),
      2n,
      [line(epoch, other), line(epoch, runner)],
      epoch.deltas(other),
      epoch.deltas(runner),
      0n,
      ...standing(runner),
    ),
  );
});

test.each([
  ['before the first', () => 1n],
  ['between two', (runners: bigint[]) => (runners[15] ?? 0n) + 1n],
  ['behind the last', (runners: bigint[]) => (runners[19] ?? 0n) + 1n],
] as const)('an account that is paid for a round it had no part in is revoked: %s', async (_, choose) => {
  const { evidence, job } = rounds[1];
  const runners = evidence.facts.headers.map(({ runner }) => BigInt(runner));
  const number = choose(runners);
  const account = `0x${number.toString(16).padStart(40, '0')}` as Hex;
  const deltas = [{ job, round: 1, amount: 1n }];
  const epoch = epochOf(2, undefined, { account, previous: 0n, cumulative: 1n, deltas });
  const at = epoch.leaves.findIndex((leaf) => leaf.account === account);
  const header = (i: number) => ({ ...evidence.placeOf(i), leaf: evidence.leaf(i) });
  const above = runners.findIndex((runner) => runner > number);
  const beside = above < 0 ? [header(19)] : above === 0 ? [header(0)] : [header(above - 1), header(above)];
  await convicted(epoch, () => judges().unearned(payer(), 2n, line(epoch, at), epoch.deltas(at), 0n, beside));
});

test('an honest epoch is revoked by nobody, and one in effect not at all', async () => {
  const [first, epoch] = [epochOf(1), epochOf(2)];
  await publish(2, epoch);
  const accusations = [
    judges().wrongTotal(payer(), 2n, line(epoch, 19)),
    judges().wrongDeltas(payer(), 2n, line(epoch, 2), epoch.deltas(2)),
    judges().unreleased(payer(), 2n, line(epoch, 2), epoch.deltas(2), 0n),
    ...epoch.leaves
      .slice(1)
      .map((_, i) => judges().wrongOrder(payer(), 2n, line(epoch, i), line(epoch, i + 1))),
    ...epoch.leaves.map((_, i) => judges().wrongPrevious(payer(), 2n, line(epoch, i), [line(first, i)])),
    ...epoch.leaves.map((_, i) =>
      judges().wrongAmount(payer(), 2n, line(epoch, i), epoch.deltas(i), 0n, ...standing(i)),
    ),
  ];
  // Another reporter: evidence that the stranger filed against a lie above would be taken for sent.
  const accuser = stack.sender(stack.founder);
  const file = (call: Accusation['call']) =>
    fileAccusation(stack.chain, accuser, { what: '', kind: 'report', call });
  for (const call of accusations)
    await expect(file(call)).rejects.toMatchObject({ details: { error: 'NothingWrong' } });
  const { evidence } = rounds[1];
  const beside = [4, 6].map((i) => ({ ...evidence.placeOf(i), leaf: evidence.leaf(i) }));
  await expect(
    file(judges().unearned(payer(), 2n, line(epoch, 5), epoch.deltas(5), 0n, beside)),
  ).rejects.toMatchObject({ details: { error: 'WrongNeighbours' } });
  await expect(
    file(judges().omitted(payer(), 2n, line(first, 5), [line(epoch, 5), line(epoch, 6)])),
  ).rejects.toMatchObject({ details: { error: 'WrongNeighbours' } });
  await passWindow();
  const { chain } = stack;
  expect((await chain.purse(payer())).inEffect).toBe(2);
  await expect(file(judges().wrongTotal(payer(), 1n, line(first, 19)))).rejects.toMatchObject({
    details: { error: 'NothingWrong' },
  });
}, 120_000);

/** Publishes a lie, has it revoked, and sees that the reporter is paid and the number is free again. */
async function convicted(epoch: Epoch, accusation: () => Accusation['call']): Promise<void> {
  const { chain } = stack;
  await publish(2, epoch);
  const before = await chain.balance(addressOf(stranger));
  const { funded } = await chain.purse(payer());
  await file(accusation());
  expect(await chain.purse(payer())).toMatchObject({ latest: 1, bond: 0n, funded: funded + 350n });
  expect((await chain.balance(addressOf(stranger))) - before).toBe(150n);
}

async function publish(number: number, epoch: Epoch): Promise<void> {
  const { calls, member, chain } = stack;
  const sender = stack.sender(member);
  const { bond } = await chain.purse(payer());
  const name = `${number} ${toHex(epoch.tree.root)} ${epoch.total}`;
  if (bond < payerBond) await sender.send(`bond ${name}`, calls.rewards.raiseBond(payerBond));
  await sender.send(
    `publish ${name}`,
    calls.rewards.publish(number, toHex(epoch.tree.root), epoch.leaves.length, epoch.total, hash('manifest')),
  );
}

/** Epoch 1 or 2 as the rounds give it, or with other deltas. */
function epochOf(
  number: 1 | 2,
  change: (deltas: RewardDelta[], account: number) => RewardDelta[] = (deltas) => deltas,
  ...more: { account: Hex; previous: bigint; cumulative: bigint; deltas: RewardDelta[] }[]
) {
  const shares = rounds.map((round) => {
    const { headers } = round.evidence.facts;
    return apportion(
      1_000n,
      headers.map(({ weight }) => BigInt(weight)),
    );
  });
  const headers = rounds[0].evidence.facts.headers;
  const deltas = headers.map((_, i) => {
    const honest: RewardDelta[] = [
      { job: rounds[number - 1]?.job ?? '0x', round: 1, amount: shares[number - 1]?.[i] ?? 0n },
    ];
    return number === 2 ? change(honest, i) : honest;
  });
  const accounts = headers.map(({ runner }, i) => {
    const previous = number === 1 ? 0n : (shares[0]?.[i] ?? 0n);
    const earned = deltas[i]?.reduce((sum, { amount }) => sum + amount, 0n) ?? 0n;
    return { account: runner as Hex, previous, cumulative: previous + earned, deltas: deltas[i] ?? [] };
  });
  const all = [...accounts, ...more].sort((a, b) => (a.account < b.account ? -1 : 1));
  const { leaves } = epochTree(sha256, { accounts: all });
  return withTree(
    leaves,
    all.map((entry) => entry.deltas),
  );
}

function withTree(leaves: readonly RewardLeaf[], deltas: readonly RewardDelta[][]) {
  const last = leaves.at(-1);
  return {
    leaves,
    tree: new MerkleTree(
      sha256,
      leaves.map((leaf) => rewardLeafHash(sha256, leaf)),
    ),
    total: last ? last.totalPrefix + last.cumulative : 0n,
    deltas: (i: number) =>
      (deltas[i] ?? []).map(({ job, round, amount }) => ({ job, round: BigInt(round), amount })),
  };
}

/** An epoch with other leaves; numbered anew. */
function changed(epoch: Epoch, change: (leaves: RewardLeaf[]) => RewardLeaf[]): Epoch {
  const leaves = change([...epoch.leaves]).map((leaf, index) => ({ ...leaf, index }));
  const { tree, total } = withTree(leaves, []);
  return { ...epoch, leaves, tree, total };
}

function line({ leaves, tree }: Epoch, i: number) {
  const leaf = leaves[i];
  if (!leaf) throw new RangeError(`The epoch has no line ${i}.`);
  return {
    leaf: { ...leaf, index: BigInt(leaf.index), deltaRoot: toHex(leaf.deltaRoot) },
    proof: tree.proof(i).map(toHex),
  };
}

/** A runner of the second round with all that stands before it. */
function standing(runner: number) {
  const { evidence } = rounds[1];
  const { place, child } = evidence.placeOf(runner);
  const bottom = Math.floor(runner / 16);
  const lefts = [Array.from({ length: bottom }, (_, index) => evidence.node({ level: 0, index }))];
  const leftLeaves = Array.from({ length: Number(child) }, (_, i) => evidence.leaf(16 * bottom + i));
  return [place, { child, leaf: evidence.leaf(runner), lefts, leftLeaves }] as const;
}

/** The last runner of the second round whose share is not nothing. */
function paidRunner(): number {
  const amounts = epochOf(2).leaves.map(({ cumulative, previous }) => cumulative - previous);
  return amounts.findLastIndex((amount) => amount > 0n);
}

const payer = () => addressOf(stack.member);
const judges = () => chainCalls(stack.deployment).judges.rewards;
const file = (call: Accusation['call']) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'report', call });

async function passWindow(): Promise<void> {
  await stack.anvil.provider.send('evm_increaseTime', [60]);
  await stack.anvil.provider.send('evm_mine', []);
}
