import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Transaction, Wallet } from 'ethers';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import type { Chain } from '#services/chain.js';
import { createSender, type Sender } from '#services/chainSender.js';
import { seeded } from '#test/support/seeded.js';
import { miscount, startLyingRpc, type LyingRpc } from '#test/support/lyingRpc.js';
import { until } from '#test/support/until.js';
import { addressOf, giveEther, startChainStack, type ChainStack } from './chainStack.js';

/** What a sender does when the chain or its endpoints misbehave. Money is a transfer, which a repetition would double. */
let stack: ChainStack;
let proxy: LyingRpc;
let other: LyingRpc;
let keys = 0;
const receiver = `0x${'ad'.repeat(20)}` as const;
const pay = (amount: bigint) => stack.calls.token.transfer(receiver, amount);
const gwei = 10n ** 9n;
const quick = { pauseMs: 2, longestPauseMs: 20, stuckAfterMs: 60, patienceMs: 20_000 };

beforeAll(async () => {
  stack = await startChainStack();
  [proxy, other] = await Promise.all([startLyingRpc(stack.anvil.url), startLyingRpc(stack.anvil.url)]);
});
afterEach(async () => {
  proxy.lie = other.lie = () => undefined;
  await rpc('evm_setAutomine', true);
  await rpc('anvil_setNextBlockBaseFeePerGas', '0x3b9aca00');
  await rpc('evm_mine');
});
afterAll(async () => {
  await Promise.all([proxy.stop(), other.stop()]);
  await stack.stop();
});

const rpc = (method: string, ...params: unknown[]) => stack.anvil.provider.send(method, params);
const count = (wallet: Wallet) => stack.anvil.provider.getTransactionCount(wallet.address);
const signed = (wallet: Wallet, intent: string) => stack.intents.signedFor(addressOf(wallet), intent);

async function holder(): Promise<Wallet> {
  const wallet = new Wallet(id(`faulty holder ${(keys += 1)}`));
  await giveEther(stack.anvil, wallet);
  await stack
    .sender(stack.founder)
    .send(`faulty ${keys}`, stack.calls.token.transfer(addressOf(wallet), 1_000n));
  return wallet;
}

/** Sends with this key through these endpoints. */
function through(
  wallet: Wallet,
  urls: string[],
  options: { chain?: Chain; timing?: typeof quick } = {},
): Sender {
  const chain = options.chain ?? stack.open(urls);
  return createSender({ chain, wallet, intents: stack.intents, timing: options.timing ?? quick });
}

async function paidBy<T>(work: () => Promise<T>): Promise<{ paid: bigint; result: T }> {
  const before = await stack.chain.balance(receiver);
  const result = await work();
  return { paid: (await stack.chain.balance(receiver)) - before, result };
}

describe('an endpoint', () => {
  test('that drops the answer after it took the transaction', async () => {
    const wallet = await holder();
    let drops = 2;
    proxy.lie = ({ method }) => ({ drop: method === 'eth_sendRawTransaction' && (drops -= 1) >= 0 });
    const { paid } = await paidBy(() => through(wallet, [proxy.url]).send('dropped', pay(1n)));
    expect([paid, await count(wallet), drops]).toEqual([1n, 1, 0]);
  });

  test('that gives everything to the node twice', async () => {
    const wallet = await holder();
    proxy.lie = () => ({ repeat: true });
    const { paid } = await paidBy(() => through(wallet, [proxy.url]).send('twice', pay(1n)));
    expect([paid, await count(wallet)]).toEqual([1n, 1]);
  });

  test.each([3, -3])('that counts %d transactions too many', async (by) => {
    const wallet = await holder();
    for (const intent of ['a', 'b', 'c', 'd', 'e'])
      await stack.sender(wallet).send(`before lie ${by} ${intent}`, pay(1n));
    proxy.lie = ({ method }) => (method === 'eth_getTransactionCount' ? miscount(by) : undefined);
    const { paid } = await paidBy(async () => {
      await through(wallet, [proxy.url]).send(`lied to ${by}`, pay(1n));
      await through(wallet, [proxy.url]).send(`lied to ${by}`, pay(1n));
    });
    expect([paid, await count(wallet)]).toEqual([1n, 6]);
  });

  test('that counts too many for a key of which nothing is known is outvoted, and where it is alone the gap is filled', async () => {
    const wallet = await holder();
    proxy.lie = ({ method }) => (method === 'eth_getTransactionCount' ? miscount(2) : undefined);
    await expect(
      through(wallet, [proxy.url, stack.anvil.url]).send('new key', pay(1n)),
    ).rejects.toMatchObject({ code: 'CHAIN_DISAGREES' });
    const voted = stack.open([proxy.url, stack.anvil.url, other.url]);
    await through(wallet, [], { chain: voted }).send('new key', pay(1n));
    expect(await stack.intents.of(addressOf(wallet)).attempts('new key')).toEqual([0]);

    const alone = await holder();
    const { paid } = await paidBy(() => through(alone, [proxy.url]).send('alone', pay(1n)));
    expect([paid, await count(alone)]).toEqual([1n, 3]);
    const [filler] = await stack.intents.of(addressOf(alone)).candidates(0);
    const filling = Transaction.from(filler?.raw ?? '');
    expect(filler?.intent).toBeNull();
    expect([filling.to?.toLowerCase(), filling.value, filling.data]).toEqual([addressOf(alone), 0n, '0x']);
  });

  test('that refuses a third of all requests', async () => {
    const wallet = await holder();
    const random = seeded(7);
    proxy.lie = () =>
      random() < 1 / 3 ? { refuse: { code: -32603, message: 'internal error' } } : undefined;
    const sender = through(wallet, [proxy.url]);
    const { paid } = await paidBy(() => untilSent(() => sender.send('refused now and then', pay(1n))));
    expect([paid, await count(wallet)]).toEqual([1n, 1]);
  });

  test('that is in trouble is passed over for the next', async () => {
    const wallet = await holder();
    proxy.lie = () => ({ refuse: { code: -32005, message: 'daily limit exceeded' } });
    const { paid } = await paidBy(() => through(wallet, [proxy.url, other.url]).send('passed over', pay(1n)));
    expect(paid).toBe(1n);
  });

  test('that shows a receipt of a block that is not in the chain is not believed', async () => {
    const wallet = await holder();
    const invented = {
      blockHash: `0x${'ee'.repeat(32)}`,
      blockNumber: '0x1',
      gasUsed: '0x5208',
      status: '0x1',
    };
    proxy.lie = ({ method, params }) => {
      if (method === 'eth_sendRawTransaction') {
        const { hash } = Transaction.from(String(params[0]));
        return { refuse: { code: -32000, message: 'already known' }, answer: () => ({ result: hash }) };
      }
      if (method === 'eth_getTransactionReceipt')
        return { answer: () => ({ result: { ...invented, transactionHash: params[0] } }) };
      return undefined;
    };
    const timing = { ...quick, patienceMs: 300 };
    await expect(through(wallet, [proxy.url], { timing }).send('invented', pay(1n))).rejects.toMatchObject({
      code: 'CHAIN_NOT_MINED',
    });
    expect(await count(wallet)).toBe(0);
    proxy.lie = () => undefined;
    const { paid } = await paidBy(() => through(wallet, [proxy.url]).send('invented', pay(1n)));
    expect([paid, await count(wallet)]).toEqual([1n, 1]);
  });

  test('that says a nonce is used is not believed without the transaction that used it', async () => {
    const wallet = await holder();
    proxy.lie = ({ method }) => {
      if (method === 'eth_sendRawTransaction') return { refuse: { code: -32000, message: 'nonce too low' } };
      return method === 'eth_getTransactionCount' ? miscount(1) : undefined;
    };
    await stack.sender(wallet).send('first', pay(1n));
    const timing = { ...quick, patienceMs: 300 };
    await expect(through(wallet, [proxy.url], { timing }).send('not used', pay(1n))).rejects.toMatchObject({
      code: 'CHAIN_NOT_MINED',
    });
    proxy.lie = () => undefined;
    await through(wallet, [proxy.url]).send('not used', pay(1n));
    expect(await stack.intents.of(addressOf(wallet)).attempts('not used')).toEqual([1]);
    expect(await count(wallet)).toBe(2);
  });
});

describe('a transaction', () => {
  test('that is stuck is replaced under its nonce, and whichever is mined counts', async () => {
    const wallet = await holder();
    await rpc('evm_setAutomine', false);
    const sending = paidBy(() => through(wallet, [stack.anvil.url]).send('stuck', pay(1n)));
    await until(async () => (await signed(wallet, 'stuck')).length >= 3, 'two replacements');
    await rpc('evm_mine');
    const { paid, result } = await sending;
    const candidates = await signed(wallet, 'stuck');
    expect([paid, await count(wallet)]).toEqual([1n, 1]);
    expect(candidates.map(({ hash }) => hash)).toContain(result.hash);
    const fees = candidates.map(({ raw }) => Transaction.from(raw));
    fees.slice(1).forEach((raised, i) => {
      const before = fees[i];
      expect((raised.maxFeePerGas ?? 0n) * 10n).toBeGreaterThan((before?.maxFeePerGas ?? 0n) * 11n);
      expect((raised.maxPriorityFeePerGas ?? 0n) * 10n).toBeGreaterThan(
        (before?.maxPriorityFeePerGas ?? 0n) * 11n,
      );
      expect([raised.nonce, raised.data, raised.to]).toEqual([before?.nonce, before?.data, before?.to]);
    });
    expect(await stack.intents.of(addressOf(wallet)).ended('stuck')).toEqual(result);
    await stack.sender(wallet).send('stuck', pay(1n));
    expect(await count(wallet)).toBe(1);
  });

  test('that an older candidate of its nonce won ends its intent all the same', async () => {
    const wallet = await holder();
    await rpc('evm_setAutomine', false);
    const first: Hex[] = [];
    // The node never gets to see the replacements.
    proxy.lie = ({ method, params }) => {
      if (method !== 'eth_sendRawTransaction') return undefined;
      const hash = Transaction.from(String(params[0])).hash as Hex;
      if (first.length === 0) first.push(hash);
      return first[0] === hash ? undefined : { refuse: { code: -32000, message: 'underpriced' } };
    };
    const sending = through(wallet, [proxy.url]).send('older', pay(1n));
    await until(async () => (await signed(wallet, 'older')).length >= 2, 'a replacement');
    await rpc('evm_mine');
    expect((await sending).hash).toBe(first[0]);
    expect(await count(wallet)).toBe(1);
  });

  test('waits while gas costs more than the cap, says so, and is sent when it is cheaper', async () => {
    const wallet = await holder();
    const chain = stack.open([stack.anvil.url], { maxFeePerGas: 50n * gwei });
    const timing = { ...quick, patienceMs: 150 };
    await rpc('anvil_setNextBlockBaseFeePerGas', `0x${(60n * gwei).toString(16)}`);
    const sender = through(wallet, [], { chain, timing });
    await expect(sender.send('dear', pay(1n))).rejects.toMatchObject({ code: 'CHAIN_TOO_EXPENSIVE' });
    expect(await signed(wallet, 'dear')).toEqual([]);
    const waiting = through(wallet, [], { chain }).send('dear', pay(1n));
    await rpc('anvil_setNextBlockBaseFeePerGas', `0x${(20n * gwei).toString(16)}`);
    await waiting;
    expect(await count(wallet)).toBe(1);
  });

  test('that gas overtook is raised as far as the cap, and not beyond', async () => {
    const wallet = await holder();
    await rpc('evm_setAutomine', false);
    const chain = stack.open([stack.anvil.url], { maxFeePerGas: 50n * gwei });
    const timing = { ...quick, patienceMs: 400 };
    const sending = through(wallet, [], { chain, timing }).send('overtaken', pay(1n));
    const refused = expect(sending).rejects.toMatchObject({ code: 'CHAIN_TOO_EXPENSIVE' });
    await until(async () => (await signed(wallet, 'overtaken')).length > 0, 'the first attempt');
    await rpc('anvil_setNextBlockBaseFeePerGas', `0x${(200n * gwei).toString(16)}`);
    await refused;
    for (const { raw } of await signed(wallet, 'overtaken'))
      expect(Transaction.from(raw).maxFeePerGas).toBeLessThanOrEqual(50n * gwei);
    await rpc('evm_setAutomine', true);
    await rpc('anvil_setNextBlockBaseFeePerGas', `0x${(2n * gwei).toString(16)}`);
    await through(wallet, [], { chain }).send('overtaken', pay(1n));
    expect(await count(wallet)).toBe(1);
  });

  test('costs no more than its intent may cost', async () => {
    const wallet = await holder();
    const chain = stack.open([stack.anvil.url], { maxCost: 200_000n * gwei });
    await through(wallet, [], { chain }).send('capped', pay(1n));
    const [only] = await signed(wallet, 'capped');
    const { gasLimit, maxFeePerGas } = Transaction.from(only?.raw ?? '');
    expect(gasLimit * (maxFeePerGas ?? 0n)).toBeLessThanOrEqual(200_000n * gwei);
    const poor = stack.open([stack.anvil.url], { maxCost: 10n * gwei });
    const timing = { ...quick, patienceMs: 20 };
    await expect(
      through(wallet, [], { chain: poor, timing }).send('too dear', pay(1n)),
    ).rejects.toMatchObject({ code: 'CHAIN_TOO_EXPENSIVE' });
  });

  test('counts when as many blocks lie above it as the chain asks for', async () => {
    const wallet = await holder();
    const chain = stack.open([stack.anvil.url], { confirmations: 3 });
    let done = false;
    const sending = through(wallet, [], { chain })
      .send('deep', pay(1n))
      .finally(() => (done = true));
    await until(async () => (await count(wallet)) === 1, 'the transaction is mined');
    const block = await stack.chain.blockNumber();
    await rpc('anvil_mine', '0x2');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(done).toBe(false);
    await rpc('evm_mine');
    expect((await sending).block).toBe(block);
  });
});

describe('a chain', () => {
  test('that reorganises gets the same bytes again', async () => {
    const wallet = await holder();
    const sender = through(wallet, [stack.anvil.url]);
    const { paid } = await paidBy(async () => {
      const sent = [];
      for (const amount of [1n, 2n, 4n]) sent.push(await sender.send(`reorganised ${amount}`, pay(amount)));
      await rpc('anvil_reorg', 3, []);
      expect(await count(wallet)).toBe(0);
      await sender.heal();
      expect(await count(wallet)).toBe(3);
      const restored = await sender.reconcile(['reorganised 4', 'reorganised 1', 'reorganised 2']);
      expect(restored.map(({ hash }) => hash)).toEqual(sent.map(({ hash }) => hash));
    });
    expect(paid).toBe(7n);
  });

  test.each([
    ['', 1_000n * gwei],
    [', also where it had offered all that a call may cost', 2n * gwei],
  ])('that undid a refused call does not get it again once another nonce paid for it%s', async (_, cap) => {
    const [owner, spender] = [await holder(), await holder()];
    const asOwner = through(owner, [stack.anvil.url]);
    const asSpender = through(spender, [], {
      chain: stack.open([stack.anvil.url], { maxFeePerGas: cap }),
      timing: { ...quick, patienceMs: 5_000 },
    });
    const token = typedContract(tokenAbi, stack.deployment.token).call;
    const allow = (amount: bigint) => token.approve(addressOf(spender), amount);
    const take = token.transferFrom(addressOf(owner), receiver, 10n);
    await asOwner.send('allow', allow(20n));
    const undo = await rpc('evm_snapshot');
    // Both wait for one block; the owner pays more, so its allowance is gone when the spender's turn comes.
    await rpc('evm_setAutomine', false);
    const refused = expect(asSpender.send('take', take)).rejects.toMatchObject({ code: 'CHAIN_REVERTED' });
    await until(async () => (await signed(spender, 'take')).length > 0, 'the first attempt');
    const dear = { maxPriorityFeePerGas: 100n * gwei, maxFeePerGas: 1_000n * gwei, gasLimit: 100_000n };
    await owner.connect(stack.anvil.provider).sendTransaction({ ...allow(0n), ...dear });
    await rpc('evm_mine');
    await rpc('evm_setAutomine', true);
    await refused;
    await asOwner.send('allow again', allow(10n));
    await asSpender.send('take', take);
    expect(await stack.intents.of(addressOf(spender)).attempts('take')).toEqual([0, 1]);

    // Now the refused bytes would succeed, and those of the second attempt too.
    await rpc('evm_revert', undo);
    const { paid } = await paidBy(() => asSpender.heal());
    expect([paid, await count(spender)]).toEqual([10n, 2]);
    // Behind the refused bytes, and whatever replaced them while they waited.
    const candidates = await stack.intents.of(addressOf(spender)).candidates(0);
    expect(candidates.at(-1)?.intent).toBeNull();
  });

  test('that stands still for a while loses nothing', async () => {
    const wallet = await holder();
    stack.anvil.freeze();
    const sending = paidBy(() => through(wallet, [stack.anvil.url]).send('frozen', pay(1n)));
    setTimeout(() => stack.anvil.thaw(), 300);
    expect((await sending).paid).toBe(1n);
    expect(await count(wallet)).toBe(1);
  });
});

/** What whoever calls a sender does with an error that may pass. */
async function untilSent<T>(work: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await work();
    } catch (error) {
      if (!['CHAIN_UNREACHABLE', 'CHAIN_REFUSED'].includes((error as { code: string }).code)) throw error;
    }
}
