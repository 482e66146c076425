import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import type { Accusation } from '#audit/dispute.js';
import { fileAccusation } from '#audit/report.js';
import { updateDomain, updateTypes } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import { wordTime } from '#services/chain/words.js';
import { chainCalls } from '#services/chainCalls.js';
import { addressOf, admitMember, giveEther, type ChainStack } from '#test/services/chainStack.js';
import { closeRandomRound } from '#test/contracts/randomRound.js';
import { startCourt, stranger } from './court.js';
import { runnerWallets } from './signing.js';

/** What follows when somebody was convicted. */
let stack: ChainStack;
beforeAll(async () => {
  stack = await startCourt();
});
afterAll(() => stack.stop());

test('after a conviction honest work is paid from the bond, and another member goes on', async () => {
  const { chain, calls, deployment, anvil } = stack;
  const shape = { runners: 3, dimension: 70, seed: 31 };
  const lie = { params: (params: Int32Array) => void (params[69] = (params[69] ?? 0) + 1) };
  const round = await closeRandomRound(stack, 'replaced', shape, lie);
  const { evidence, job } = round;
  const { closing: word } = await chain.commitments(job, 1);
  await file(chainCalls(deployment).judges.sums.wrongStep(...round.stepEvidence(1)));

  const { leaves } = chainCalls(deployment).judges;
  const total = evidence.facts.headers.reduce((sum, { weight }) => sum + weight, 0);
  for (const [i, header] of evidence.facts.headers.entries()) {
    const { place, child } = evidence.placeOf(i);
    const work = {
      closedAt: BigInt(wordTime(word ?? '0x')),
      child,
      leaf: evidence.leaf(i),
      opened: round.opened,
      selected: round.selected(i),
      signature: header.signature,
      steps: 7n,
    };
    const before = await chain.balance(header.runner);
    await stack.sender(stranger).send(`compensate ${i}`, leaves.compensate(place, work));
    const paid = (await chain.balance(header.runner)) - before;
    expect(paid).toBe((700n * BigInt(header.weight)) / BigInt(total));
    await expect(
      stack.sender(stranger).send(`again ${i}`, leaves.compensate(place, work)),
    ).rejects.toMatchObject({ details: { error: 'CompensatedBefore' } });
  }

  const next = new Wallet(id('next member'));
  await giveEther(anvil, next);
  await admitMember(stack, next, { name: 'next', tokens: 4_000n });
  const taker = stack.sender(next);
  await expect(taker.send('too little', calls.jobs.takeOver(job, 3_999n))).rejects.toMatchObject({
    details: { error: 'BondTooSmall' },
  });
  await taker.send('take over', calls.jobs.takeOver(job, 4_000n));
  await taker.send('next/open', calls.jobs.open(job, 1, id('anew') as Hex));
  await taker.send(
    'next/close',
    calls.jobs.close({ ...evidence.facts.closing, rootHeader: id('right') as Hex }),
  );
  expect(await chain.escrow(job)).toMatchObject({
    coordinator: addressOf(next),
    phase: 'running',
    closed: 1,
  });
});

test('a runner that signs twice for one opening loses its stake', async () => {
  const { chain, deployment } = stack;
  const [runner] = runnerWallets;
  if (!runner) throw new Error('There are no runners.');
  const domain = updateDomain(deployment.chainId, deployment.jobs);
  const sign = (updateRoot: string) =>
    runner.signTypedData(domain, updateTypes, update(updateRoot)) as Promise<Hex>;
  const [one, other] = [await sign('one'), await sign('other')];
  const { leaves } = chainCalls(deployment).judges;
  const who = addressOf(runner);
  await expect(file(leaves.signedTwice(who, update('one'), one, update('one'), one))).rejects.toMatchObject({
    details: { error: 'NothingWrong' },
  });
  await expect(file(leaves.signedTwice(who, update('one'), one, update('other'), one))).rejects.toMatchObject(
    { details: { error: 'NotSigned' } },
  );
  const before = await chain.balance(addressOf(stranger));
  await file(leaves.signedTwice(who, update('one'), one, update('other'), other));
  expect(await chain.runner(who)).toMatchObject({ stake: 0n });
  expect((await chain.balance(addressOf(stranger))) - before).toBe(30n);
});

const file = (call: Accusation['call']) =>
  fileAccusation(stack.chain, stack.sender(stranger), { what: '', kind: 'report', call });

function update(updateRoot: string) {
  return {
    job: id('signed twice') as Hex,
    round: 1n,
    openHash: id('opening') as Hex,
    updateRoot: id(updateRoot) as Hex,
    dimension: 43n,
    samples: 10n,
    steps: 10n,
  };
}
