import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet, id } from 'ethers';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import type { Sent } from '#services/chainSender.js';
import { until } from '#test/support/until.js';
import { addressOf, giveEther, hash, startChainStack, type ChainStack } from './chainStack.js';

let stack: ChainStack;
let keys = 0;

beforeAll(async () => {
  stack = await startChainStack();
});
afterAll(() => stack.stop());

/** A key of its own with 1,000 tokens, so that tests do not share nonces. */
async function holder(): Promise<Wallet> {
  const wallet = new Wallet(id(`holder ${(keys += 1)}`));
  await giveEther(stack.anvil, wallet);
  await stack
    .sender(stack.founder)
    .send(`tokens ${keys}`, stack.calls.token.transfer(addressOf(wallet), 1_000n));
  return wallet;
}

/** The process dies right after the next line in a book of this kind. */
function crashAt(book: 'intents/' | 'nonces/'): void {
  stack.intents.onWrite = (written) => {
    if (written.startsWith(book)) throw new Error('killed');
  };
}
const goOn = () => void (stack.intents.onWrite = () => {});

const receiver = `0x${'ab'.repeat(20)}` as const;
const pay = (amount: bigint) => stack.calls.token.transfer(receiver, amount);
const count = (wallet: Wallet) => stack.anvil.provider.getTransactionCount(wallet.address);

describe('an intent', () => {
  test('is one transaction, however often it is sent', async () => {
    const wallet = await holder();
    const sender = stack.sender(wallet);
    const first = await sender.send('once', pay(1n));
    expect(await sender.send('once', pay(1n))).toEqual(first);
    expect(await stack.sender(wallet).send('once', pay(1n))).toEqual(first);
    expect(await count(wallet)).toBe(1);
    expect(await stack.intents.of(addressOf(wallet)).ended('once')).toEqual(first);
  });

  test('is stored before it is sent, and after a crash the same bytes are sent', async () => {
    const wallet = await holder();
    crashAt('nonces/');
    await expect(stack.sender(wallet).send('crash', pay(1n))).rejects.toThrow('killed');
    goOn();
    expect(await count(wallet)).toBe(0);
    const [stored] = await stack.intents.signedFor(addressOf(wallet), 'crash');
    expect((await stack.sender(wallet).send('crash', pay(1n))).hash).toBe(stored?.hash);
    expect(await count(wallet)).toBe(1);
  });

  test('that has a nonce and nothing signed for it after a crash keeps the nonce', async () => {
    const wallet = await holder();
    crashAt('intents/');
    await expect(stack.sender(wallet).send('begun', pay(1n))).rejects.toThrow('killed');
    goOn();
    await stack.sender(wallet).send('begun', pay(1n));
    expect(await stack.intents.of(addressOf(wallet)).attempts('begun')).toEqual([0]);
    expect(await count(wallet)).toBe(1);
  });

  test('is known to be done when the crash came between sending and noting it', async () => {
    const wallet = await holder();
    stack.intents.onWrite = (_, place) => {
      if (place === 'ended') throw new Error('killed');
    };
    await expect(stack.sender(wallet).send('sent', pay(1n))).rejects.toThrow('killed');
    goOn();
    const [stored] = await stack.intents.signedFor(addressOf(wallet), 'sent');
    expect((await stack.sender(wallet).send('sent', pay(1n))).hash).toBe(stored?.hash);
    expect(await count(wallet)).toBe(1);
  });

  test('gets another nonce when another intent was faster with its own', async () => {
    const wallet = await holder();
    crashAt('intents/');
    await expect(stack.sender(wallet).send('robbed', pay(1n))).rejects.toThrow('killed');
    goOn();
    await stack.sender(wallet).send('robber', pay(2n));
    await stack.sender(wallet).send('robbed', pay(1n));
    expect(await stack.intents.of(addressOf(wallet)).attempts('robbed')).toEqual([0, 1]);
    expect(await count(wallet)).toBe(2);
  });

  test('gets another nonce when another program with this key was faster, and only when that is proved', async () => {
    const wallet = await holder();
    await stack.sender(wallet).send('ours', pay(1n));
    crashAt('nonces/');
    await expect(stack.sender(wallet).send('overtaken', pay(1n))).rejects.toThrow('killed');
    goOn();
    const outside = wallet.connect(stack.anvil.provider);
    for (const nonce of [1, 2, 3]) await outside.sendTransaction({ to: receiver, value: 1n, nonce });
    await stack.sender(wallet).send('overtaken', pay(1n));
    expect(await stack.intents.of(addressOf(wallet)).attempts('overtaken')).toEqual([1, 4]);
    expect(await count(wallet)).toBe(5);
  });

  test('that was signed but not sent goes first when another one follows', async () => {
    const wallet = await holder();
    crashAt('nonces/');
    await expect(stack.sender(wallet).send('left behind', pay(1n))).rejects.toThrow('killed');
    goOn();
    const next = await stack.sender(wallet).send('next', pay(2n));
    const behind = await stack.sender(wallet).send('left behind', pay(1n));
    expect(behind.block).toBeLessThan(next.block);
    expect(await count(wallet)).toBe(2);
  });

  test('has its own nonce also when many are sent at once', async () => {
    const wallet = await holder();
    const sender = stack.sender(wallet);
    const sent = await Promise.all(
      [1n, 2n, 3n, 4n, 5n].map((amount) => sender.send(`at once ${amount}`, pay(amount))),
    );
    expect(new Set(sent.map(({ hash }) => hash)).size).toBe(5);
    expect(await count(wallet)).toBe(5);
  });

  test('is sent once by any number of senders with one key and one store', async () => {
    const wallet = await holder();
    const senders = [1, 2, 3].map(() => stack.sender(wallet));
    const ids = ['shared a', 'shared b', 'shared c', 'shared d'];
    const sent = await Promise.all(
      senders.flatMap((sender) => ids.map((intent) => sender.send(intent, pay(3n)))),
    );
    expect(new Set(sent.map(({ hash }) => hash)).size).toBe(ids.length);
    expect(await count(wallet)).toBe(ids.length);
  });
});

describe('a refusal', () => {
  test('by the contract is told with its name and arguments before anything is stored or sent', async () => {
    const wallet = await holder();
    const unknown = hash('unknown job');
    await expect(
      stack.sender(wallet).send('refused', stack.calls.jobs.finish(unknown)),
    ).rejects.toMatchObject({
      code: 'CHAIN_REVERTED',
      message: expect.stringContaining('NotCoordinator'),
      details: { error: 'NotCoordinator', arguments: { job: unknown, caller: wallet.address } },
    });
    expect(await stack.intents.of(addressOf(wallet)).attempts('refused')).toEqual([]);
    expect(await count(wallet)).toBe(0);
  });

  test('of a transaction that was mined is told, and the intent may try again later', async () => {
    const { anvil, deployment, chain } = stack;
    const [owner, spender] = [await holder(), await holder()];
    const token = typedContract(tokenAbi, deployment.token).call;
    const asOwner = stack.sender(owner);
    await asOwner.send('allow', token.approve(addressOf(spender), 10n));
    const take = token.transferFrom(addressOf(owner), receiver, 10n);
    // Both wait for one block; the owner pays more, so its allowance is gone when the spender's turn comes.
    await anvil.provider.send('evm_setAutomine', [false]);
    const taking = stack.sender(spender).send('take', take);
    const refused = expect(taking).rejects.toMatchObject({
      code: 'CHAIN_REVERTED',
      details: { error: 'ERC20InsufficientAllowance' },
    });
    await until(async () => (await pendingCount(spender)) === 1, 'the call is in the pool');
    const dear = { maxPriorityFeePerGas: 10n ** 11n, maxFeePerGas: 10n ** 12n, gasLimit: 100_000n };
    const revoke = token.approve(addressOf(spender), 0n);
    await owner.connect(anvil.provider).sendTransaction({ ...revoke, ...dear });
    await anvil.provider.send('evm_mine', []);
    await anvil.provider.send('evm_setAutomine', [true]);
    await refused;
    expect(await count(spender)).toBe(1);

    await asOwner.send('allow again', token.approve(addressOf(spender), 10n));
    const before = await chain.balance(receiver);
    await stack.sender(spender).send('take', take);
    await stack.sender(spender).send('take', take);
    expect((await chain.balance(receiver)) - before).toBe(10n);
  });

  test('for want of money says so', async () => {
    const poor = new Wallet(id('poor'));
    await expect(
      stack.sender(poor).send('poor', { to: receiver, data: '0x', value: 1n }),
    ).rejects.toMatchObject({ code: 'CHAIN_INSUFFICIENT_FUNDS' });
  });
});

describe('a reorganisation', () => {
  test('is made good with the same bytes, in the order of their nonces', async () => {
    const wallet = await holder();
    const sender = stack.sender(wallet);
    const undo = await stack.anvil.provider.send('evm_snapshot', []);
    const sent: Sent[] = [];
    for (const amount of [1n, 2n, 3n]) sent.push(await sender.send(`undone ${amount}`, pay(amount)));
    await stack.anvil.provider.send('evm_revert', [undo]);
    expect(await count(wallet)).toBe(0);
    const restored = await sender.reconcile(['undone 3', 'never stored', 'undone 1', 'undone 2']);
    expect(restored.map(({ intentId, hash }) => [intentId, hash])).toEqual(
      sent.map(({ hash }, index) => [`undone ${index + 1}`, hash]),
    );
    expect(await count(wallet)).toBe(3);
  });

  test('that undid several is made good when only the last is asked for', async () => {
    const wallet = await holder();
    const undo = await stack.anvil.provider.send('evm_snapshot', []);
    for (const amount of [1n, 2n, 3n]) await stack.sender(wallet).send(`chain ${amount}`, pay(amount));
    const [last] = await stack.intents.signedFor(addressOf(wallet), 'chain 3');
    await stack.anvil.provider.send('evm_revert', [undo]);
    expect((await stack.sender(wallet).send('chain 3', pay(3n))).hash).toBe(last?.hash);
    expect(await count(wallet)).toBe(3);
  });

  test('that undid a transaction of another program with this key does not hold ours up', async () => {
    const wallet = await holder();
    const undo = await stack.anvil.provider.send('evm_snapshot', []);
    await wallet.connect(stack.anvil.provider).sendTransaction({ to: receiver, value: 1n });
    const ours = await stack.sender(wallet).send('ours', pay(1n));
    await stack.anvil.provider.send('evm_revert', [undo]);
    expect((await stack.sender(wallet).send('ours', pay(1n))).hash).toBe(ours.hash);
    expect(await count(wallet)).toBe(2);
  });
});

test('a killed chain comes back without its last blocks, and nothing is lost or done twice', async () => {
  const wallet = await holder();
  await written();
  const before = await stack.chain.balance(receiver);
  let lost = false;
  const ids: string[] = [];
  for (let round = 0; !lost && round < 10; round += 1) {
    for (let i = 0; i < 5; i += 1) {
      ids.push(`killed ${round}.${i}`);
      await stack.sender(wallet).send(`killed ${round}.${i}`, pay(1n));
    }
    const height = await stack.chain.blockNumber();
    await stack.anvil.kill();
    await stack.anvil.start();
    lost = (await stack.chain.blockNumber()) < height;
    const hashes = await Promise.all(
      ids.map(async (intent) => (await stack.intents.signedFor(addressOf(wallet), intent))[0]?.hash),
    );
    const restored = await stack.sender(wallet).reconcile(ids);
    expect(restored.map(({ hash }) => hash)).toEqual(hashes);
  }
  expect(lost).toBe(true);
  expect(await count(wallet)).toBe(ids.length);
  expect((await stack.chain.balance(receiver)) - before).toBe(BigInt(ids.length));
});

const pendingCount = (wallet: Wallet) => stack.anvil.provider.getTransactionCount(wallet.address, 'pending');

/** Until anvil has written its state twice: the second time holds all that was there before the call. */
async function written(): Promise<void> {
  const times = new Set<number>();
  await until(
    async () =>
      times.add(statSync(stack.anvil.stateFile, { throwIfNoEntry: false })?.mtimeMs ?? 0).size === 3,
    'anvil has written its state twice',
    60,
  );
}
