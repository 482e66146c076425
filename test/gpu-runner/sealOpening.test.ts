/** A runner that is asked on chain to open what it sealed: each look begins anew from the disk, as after a kill. */
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { Decision } from '#gpu-runner/decisionLog.js';
import { openDemanded } from '#gpu-runner/sealOpening.js';
import { SealedWork } from '#gpu-runner/sealedWork.js';
import type { ConsortiumChain } from '#services/chain.js';
import { createSender } from '#services/chainSender.js';
import { folderIntents } from '#services/folderIntents.js';
import { passWindow, stranger } from '#test/audit/court.js';
import { writeHistory, type History } from '#test/audit/history.js';
import { addressOf, type ChainStack } from '#test/services/chainStack.js';
import { saltOf, sealedBy } from '#test/support/seals.js';
import { startRunnersCourt, type RunnersCourt } from './court.js';
import { temporaryFolder } from './folder.js';

let court: RunnersCourt;
let stack: ChainStack;
let chain: ConsortiumChain;

beforeAll(async () => {
  court = await startRunnersCourt();
  ({ stack, chain } = court);
}, 60_000);
afterAll(() => court?.stop());

const judge = () => typedContract(sealJudgeAbi, stack.deployment.judges.seals, stack.chain.provider);

test('opens its seal once, wins the bond of whoever asked, and looks at nothing twice', async () => {
  const runner = await sealing(await writeHistory(stack, 'opens', {}, { sealFirst: true }), 0);
  expect(await runner.look(0)).toBeGreaterThan(0);
  expect(await runner.sent()).toBe(0);
  const bond = await demand(runner);
  const before = await stack.anvil.provider.getBalance(runner.wallet.address);
  const next = await runner.look(0);
  expect(await runner.sent()).toBe(1);
  const gained = (await stack.anvil.provider.getBalance(runner.wallet.address)) - before;
  expect(gained).toBeGreaterThan(bond / 2n);
  expect(gained).toBeLessThan(bond);
  await runner.look(0);
  await runner.look(next);
  expect(await runner.sent()).toBe(1);
  expect(runner.decisions).toMatchObject([{ kind: 'opened', round: 2, seal: runner.sealed.seal }]);
  await passWindow(stack);
  await expect(
    stack.sender(stranger).send('opens/expire', judge().call.expire(runner.name)),
  ).rejects.toMatchObject({ details: { error: 'NotDemanded' } });
  expect((await stack.chain.runner(addressOf(runner.wallet)))?.stake).toBeGreaterThan(0n);
});

test('says so when the seal is not on its disk any more: then its stake is lost', async () => {
  const runner = await sealing(await writeHistory(stack, 'lost', {}, { sealFirst: true }), 1);
  await rm(join(runner.folder, 'work'), { recursive: true });
  await demand(runner);
  await expect(runner.look(0)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining(`round 2 of job ${runner.job}`),
  });
  expect(await runner.sent()).toBe(0);
  await passWindow(stack);
  await stack.sender(stranger).send('lost/expire', judge().call.expire(runner.name));
  expect((await stack.chain.runner(addressOf(runner.wallet)))?.stake ?? 0n).toBe(0n);
});

/** A runner of a history's last round, with what it sealed in a folder of its own. */
async function sealing(history: History, index: number) {
  const worked = history.worked[1];
  const wallet = history.runners[index];
  const header = worked?.headers[index];
  if (!worked || !wallet || !header) throw new Error('There is no such round.');
  const { job, round, openHash } = worked.opening;
  const place = { domain: stack.deployment, opening: worked.opening };
  const { seal, signature } = sealedBy(wallet, place, header.updateRoot);
  const folder = await temporaryFolder();
  const { index: _, runner, signature: _signature, weight: _weight, salt: _salt, ...update } = header;
  await new SealedWork(join(folder, 'work')).keep(job, round, {
    openHash,
    salt: saltOf(wallet, round),
    seal,
    signature,
    update: {
      kind: 'update',
      runner,
      ...update,
      file: `0x${'66'.repeat(32)}`,
      bytes: 1,
      saturated: 0,
      loss: 1,
      seconds: 1,
    },
  });
  const sealed = { job, round: BigInt(round), openHash, seal };
  const decisions: Decision[] = [];
  const nonce = () => stack.anvil.provider.getTransactionCount(wallet.address);
  const began = await nonce();
  return {
    job,
    wallet,
    folder,
    sealed,
    signature,
    decisions,
    name: (await judge().read.nameOf(addressOf(wallet), sealed)) as Hex,
    sent: async () => (await nonce()) - began,
    look: (from: number) =>
      openDemanded(
        {
          seals: new SealedWork(join(folder, 'work')),
          chain,
          sender: createSender({ chain, wallet, intents: folderIntents(join(folder, 'intents')) }),
          sealJudge: stack.deployment.judges.seals,
          decisions: { append: async (decision) => void decisions.push(decision) },
        },
        from,
      ),
  };
}

/** A stranger who has the seal from the round's manifest. @returns the bond */
async function demand(runner: Awaited<ReturnType<typeof sealing>>): Promise<bigint> {
  const { wallet, sealed, signature, job } = runner;
  const { closing: previous } = await stack.chain.commitments(job, 1);
  const value = await judge().read.bond();
  const call = judge().call.demand(addressOf(wallet), sealed, signature, previous ?? '0x');
  await stack.sender(stranger).send(`demand ${runner.name}`, { ...call, value });
  return value;
}
