import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Wallet, id } from 'ethers';
import { setTimeout as pause } from 'node:timers/promises';
import { addressOf, registerRunner, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { until } from '#test/support/until.js';
import { openHouse, type TestHouse } from './house.js';
import { closed, enter, framed, hangUp, knock, makeRunner, send } from './runners.js';

let stack: ChainStack;
let house: TestHouse;
const wallets = ['stays', 'leaves'].map((name) => new Wallet(id(name)));

beforeAll(async () => {
  stack = await startChainStack();
  const { calls, deployment, founder, member, anvil } = stack;
  const asFounder = stack.sender(founder);
  await asFounder.send('add', calls.consortium.addMember(addressOf(member), 'Clinic', 'http://127.0.0.1:1'));
  for (const wallet of wallets) await registerRunner(stack, wallet);
  house = await openHouse({
    CHAIN_RPC_URLS: anvil.url,
    CHAIN_DEPLOYMENT: JSON.stringify(deployment),
  });
});
afterAll(async () => {
  await house.close();
  await stack.stop();
});

const greet = (session: ReturnType<typeof knock>) =>
  send(session, 'GetSystemInfo', framed(new Uint8Array(0)));

test('a runner that leaves the consortium is cut off; without an answer of the chain nobody else is', async () => {
  const [stays, leaves] = await Promise.all(
    wallets.map(async (wallet) => {
      const runner = { ...(await makeRunner()), runner: addressOf(wallet) };
      await enter(house.table, runner);
      return runner;
    }),
  );
  if (!stays || !leaves) throw new Error('two runners were made');
  const [staying, leaving] = [knock(house.gatekeeper, stays), knock(house.gatekeeper, leaves)];
  for (const session of [staying, leaving]) expect((await greet(session)).status).toBe(0);
  // Both are asked about and found in order first.
  await pause(6_000);
  expect(staying.destroyed || leaving.destroyed).toBe(false);

  const [, wallet] = wallets;
  const end = closed(leaving);
  if (wallet) await stack.sender(wallet).send('exit', stack.calls.consortium.exit());
  expect(await end).toBeLessThan(12_000);
  await until(
    () => house.gatekeeper.refusals().includes('a runner that has left the consortium or has no stake'),
    'the line of the log',
  );
  const again = knock(house.gatekeeper, leaves);
  expect((await greet(again)).status).toBe(16);
  hangUp(again);

  await stack.anvil.kill();
  await pause(6_000);
  expect((await greet(staying)).status).toBe(0);
  const newcomer = knock(house.gatekeeper, await house.guest());
  expect((await greet(newcomer)).status).toBe(0);
  const barred = knock(house.gatekeeper, leaves);
  expect((await greet(barred)).status).toBe(16);
  [staying, newcomer, barred].forEach(hangUp);
}, 60_000);
