import { setTimeout as pause } from 'node:timers/promises';
import { id, Wallet } from 'ethers';
import { isRoundtableError } from '#core/errors.js';
import { toHex } from '#core/hex.js';
import { epochTree, type ProvenRewardLeaf } from '#core/rewards.js';
import type { Chain } from '#services/chain.js';
import { createSender, type Sender } from '#services/chainSender.js';
import type { IntentStore } from '#services/intentBook.js';
import type { TransactionRequest } from '#services/chain/transactions.js';
import { sha256 } from '#services/sha256.js';
import { miscount, startLyingRpc, type Lie, type LyingRpc } from '#test/support/lyingRpc.js';
import { seeded } from '#test/support/seeded.js';
import { addressOf, giveEther, hash, startChainStack, type ChainStack } from './chainStack.js';
import { MemoryIntents } from './memoryIntents.js';

/** One epoch from its funding to its claims, with faults; everything follows from the seed. */
export interface PayRun {
  run(seed: number): Promise<void>;
  /** How often each fault came. */
  faults: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

const quick = { pauseMs: 1, longestPauseMs: 10, stuckAfterMs: 25, patienceMs: 20_000 };
const windowSeconds = 60;
const most = 5;

/** A chain with its contracts, whose state before each run is the same. */
export async function startPayRuns(): Promise<PayRun> {
  const stack = await startChainStack();
  const { deployment, founder, member: payer, calls, anvil } = stack;
  const rpc = (method: string, ...params: unknown[]) => anvil.provider.send(method, params);
  const claimants = Array.from({ length: most }, (_, index) => new Wallet(id(`claimant ${index}`)));
  const setup = stack.sender(founder);
  for (const wallet of claimants) await giveEther(anvil, wallet);
  await setup.send('tokens', calls.token.transfer(addressOf(payer), 10n ** 12n));
  await stack.sender(payer).send('allow', calls.token.approve(deployment.rewards, 10n ** 12n));
  const proxies = await Promise.all([startLyingRpc(anvil.url), startLyingRpc(anvil.url)]);
  const chains = [[0], [1, 0]].map((of) => stack.open(of.map((index) => proxies[index]?.url ?? '')));
  const faults = new Map<string, number>();
  let clean = await rpc('evm_snapshot');

  return {
    faults,
    async run(seed) {
      // What a reorganisation may go back to is made anew: anvil forgets the states of old blocks.
      await rpc('evm_mine');
      const base = await stack.chain.blockNumber();
      const world = new Run(stack, { seed, base, claimants, payer, proxies, chains, faults, rpc });
      try {
        await world.go();
      } catch (cause) {
        throw new Error(`Seed ${seed}: ${cause instanceof Error ? (cause.stack ?? '') : String(cause)}`, {
          cause,
        });
      } finally {
        await world.calm();
        await rpc('evm_revert', clean);
        clean = await rpc('evm_snapshot');
      }
    },
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await stack.stop();
    },
  };
}

interface World {
  seed: number;
  /** The block that every run begins with. */
  base: number;
  claimants: readonly Wallet[];
  payer: Wallet;
  proxies: readonly LyingRpc[];
  chains: readonly Chain[];
  faults: Map<string, number>;
  rpc: (method: string, ...params: unknown[]) => Promise<unknown>;
}

class Run {
  readonly #stack: ChainStack;
  readonly #world: World;
  readonly #random: () => number;
  readonly #intents = new MemoryIntents();
  readonly #sent = new Map<Wallet, Set<string>>();
  #over = false;

  constructor(stack: ChainStack, world: World) {
    this.#stack = stack;
    this.#world = world;
    this.#random = seeded(world.seed);
  }

  async go(): Promise<void> {
    const { calls, chain } = this.#stack;
    const { payer, claimants } = this.#world;
    const payerAddress = addressOf(payer);
    const accounts = claimants.slice(0, 2 + this.#below(most - 1));
    const amounts = accounts.map(() => 1n + BigInt(this.#below(1_000_000)));
    const total = amounts.reduce((sum, amount) => sum + amount, 0n);
    const funded = total + BigInt(this.#below(1_000));
    const job = hash(`job ${this.#world.seed}`);
    const tree = epochTree(sha256, {
      accounts: accounts.map((wallet, index) => {
        const amount = amounts[index] ?? 0n;
        return {
          account: addressOf(wallet),
          previous: 0n,
          cumulative: amount,
          deltas: [{ job, round: 1, amount }],
        };
      }),
    });
    const shaking = this.#shake();
    try {
      await this.#deliver(payer, 'fund', calls.rewards.fund(payerAddress, funded));
      const publish = calls.rewards.publish(1, toHex(tree.root), accounts.length, total, hash('manifest'));
      await this.#deliver(payer, 'publish', publish);
      // Some claim twice, some pay for others, one perhaps not at all.
      const idle = this.#below(6) === 0 ? tree.leaves[this.#below(accounts.length)] : undefined;
      const claiming = tree.leaves.filter((leaf) => leaf !== idle);
      await all(
        claiming.flatMap((leaf) => {
          const own = accounts.find((wallet) => addressOf(wallet) === leaf.account) ?? payer;
          const claims = [this.#claim(own, leaf, 'claim', publish)];
          if (this.#below(3) === 0) claims.push(this.#claim(own, leaf, 'claim', publish));
          if (this.#below(4) === 0) claims.push(this.#claim(payer, leaf, `claim for ${leaf.index}`, publish));
          return claims;
        }),
      );
      await this.#end(shaking);
      await this.#settle(publish, claiming);
      // What is claimed, what can be claimed and what is left make up what was funded.
      const purse = await chain.purse(payerAddress);
      const claimed = await Promise.all(
        tree.leaves.map(({ account }) => chain.claimed(payerAddress, account)),
      );
      const paid = claimed.reduce((sum, amount) => sum + amount, 0n);
      const claimable = total - paid;
      equal('funded', purse.funded, funded);
      equal('paid', purse.paid, paid);
      equal('claimed, claimable and left', paid + claimable + (purse.funded - total), funded);
      equal('what the contract holds', await chain.balance(this.#stack.deployment.rewards), funded - paid);
      for (const [index, { account, cumulative }] of tree.leaves.entries()) {
        const due = account === idle?.account ? 0n : cumulative;
        equal(`claimed by ${account}`, claimed[index], due);
        equal(`held by ${account}`, await chain.balance(account), due);
      }
      await this.#endedOnce();
    } finally {
      await this.#end(shaking);
    }
  }

  /** Leaves chain and endpoints as they were. */
  async calm(): Promise<void> {
    this.#over = true;
    for (const proxy of this.#world.proxies) proxy.lie = () => undefined;
    this.#stack.anvil.thaw();
    await this.#world.rpc('evm_setAutomine', true);
  }

  async #end(shaking: Promise<void>): Promise<void> {
    this.#over = true;
    await shaking;
    await this.calm();
  }

  /** A claim of the epoch, by anyone; while the epoch is not in effect, its time is let pass. */
  async #claim(
    by: Wallet,
    leaf: ProvenRewardLeaf,
    intent: string,
    publish: TransactionRequest,
  ): Promise<void> {
    const call = this.#stack.calls.rewards.claim(addressOf(this.#world.payer), 1, leaf);
    await this.#deliver(by, intent, call, publish);
  }

  /** Sends as a process does that may be killed at any line it writes, and starts again. */
  async #deliver(
    by: Wallet,
    intent: string,
    call: TransactionRequest,
    publish?: TransactionRequest,
  ): Promise<void> {
    const intents = this.#sent.get(by) ?? new Set();
    this.#sent.set(by, intents.add(intent));
    let refused: unknown;
    for (let tries = 0; tries < 100; tries += 1) {
      const sender = this.#sender(by, this.#random() < 0.05 ? 1 + this.#below(3) : Infinity);
      try {
        await sender.send(intent, call);
        return;
      } catch (error) {
        refused = error;
        if (error instanceof Killed) this.#note('killed');
        else if (publish && isRoundtableError(error, 'CHAIN_REVERTED')) await this.#takeEffect(publish);
        else if (!passing.some((code) => isRoundtableError(error, code))) throw error;
      }
    }
    throw new Error(`${intent} was refused 100 times`, { cause: refused });
  }

  /** A reorganisation may have undone the epoch, or its time. */
  async #takeEffect(publish: TransactionRequest): Promise<void> {
    await this.#deliver(this.#world.payer, 'publish', publish);
    await this.#world.rpc('evm_increaseTime', windowSeconds);
    await this.#world.rpc('evm_mine');
  }

  /** After the faults: whatever was promised to be sent is in the chain. */
  async #settle(publish: TransactionRequest, claiming: readonly ProvenRewardLeaf[]): Promise<void> {
    for (const [wallet, intents] of this.#sent) await this.#sender(wallet).reconcile([...intents]);
    // A claim that a reorganisation put before its epoch was refused there; whoever wants it sends it again.
    const payer = addressOf(this.#world.payer);
    for (const leaf of claiming)
      while ((await this.#stack.chain.claimed(payer, leaf.account)) === 0n)
        await this.#claim(
          this.#world.claimants.find((wallet) => addressOf(wallet) === leaf.account) ?? this.#world.payer,
          leaf,
          'claim',
          publish,
        );
  }

  /** An intent's end names one of its own transactions, and the chain has exactly one transaction for each nonce. */
  async #endedOnce(): Promise<void> {
    for (const [wallet, intents] of this.#sent) {
      const address = addressOf(wallet);
      const book = this.#intents.of(address);
      for (const intent of intents) {
        const [ended, attempts] = [await book.ended(intent), await book.attempts(intent)];
        const own = (await Promise.all(attempts.map((nonce) => book.candidates(nonce)))).flat();
        if (ended !== null && !own.some(({ hash: of, intent: for_ }) => of === ended.hash && for_ === intent))
          throw new Error(`${intent} ended with a transaction that was not its own`);
      }
    }
  }

  #sender(wallet: Wallet, dieAfter = Infinity): Sender {
    const chain = this.#world.chains[this.#below(this.#world.chains.length)] ?? this.#stack.chain;
    return createSender({ chain, wallet, intents: mortal(this.#intents, dieAfter), timing: quick });
  }

  /** Faults, one after the other, until the run is over. */
  async #shake(): Promise<void> {
    const random = seeded(this.#world.seed ^ 0x5eed);
    const kind = Math.floor(random() * 8);
    for (const proxy of this.#world.proxies) proxy.lie = ({ method }) => this.#lie(kind, random, method);
    if (kind < 3) return;
    for (let times = 0; times < 2 && !this.#over; times += 1) {
      await pause(random() * 30);
      if (this.#over) return;
      await this.#disturb(kind, random);
    }
  }

  #lie(kind: number, random: () => number, method: string): Lie | undefined {
    const chance = random();
    if (kind === 0) {
      if (method === 'eth_sendRawTransaction' && chance < 0.3) return this.#noted('dropped', { drop: true });
      return chance < 0.1 ? this.#noted('repeated', { repeat: true }) : undefined;
    }
    if (kind === 1 && method === 'eth_getTransactionCount')
      return this.#noted('miscounted', miscount(Math.floor(random() * 7) - 3));
    if (kind === 2) {
      if (chance < 0.05)
        return this.#noted('refused', { refuse: { code: -32603, message: 'internal error' } });
      if (chance < 0.1) return this.#noted('delayed', { delay: random() * 5 });
      return chance < 0.15 ? this.#noted('hidden', { drop: true }) : undefined;
    }
    // The other faults come together with an answer lost now and then.
    return method === 'eth_sendRawTransaction' && chance < 0.05
      ? this.#noted('dropped', { drop: true })
      : undefined;
  }

  async #disturb(kind: number, random: () => number): Promise<void> {
    const { rpc } = this.#world;
    if (kind === 3 || kind === 4) {
      this.#note('reorganised');
      // What deployed and set up stays.
      const height = Number(await rpc('eth_blockNumber')) - this.#world.base;
      const depth = Math.min(1 + Math.floor(random() * 4), height);
      if (depth > 0) await rpc('anvil_reorg', depth, []).catch(() => undefined);
    } else if (kind === 5) {
      this.#note('stalled');
      await rpc('evm_setAutomine', false);
      await pause(30 + random() * 30);
      await rpc('evm_mine');
      await rpc('evm_setAutomine', true);
      await rpc('evm_mine');
    } else if (kind === 6) {
      this.#note('dear');
      await rpc(
        'anvil_setNextBlockBaseFeePerGas',
        `0x${BigInt(Math.floor(random() * 200) * 1e9).toString(16)}`,
      );
    } else {
      this.#note('frozen');
      this.#stack.anvil.freeze();
      await pause(random() * 20);
      this.#stack.anvil.thaw();
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #note(fault: string): void {
    this.#world.faults.set(fault, (this.#world.faults.get(fault) ?? 0) + 1);
  }

  #noted(fault: string, lie: Lie): Lie {
    this.#note(fault);
    return lie;
  }
}

/** What whoever calls a sender repeats the call after. */
const passing = ['CHAIN_UNREACHABLE', 'CHAIN_REFUSED', 'CHAIN_DISAGREES'] as const;

class Killed extends Error {}

/** A store whose process dies right after so many lines. */
function mortal(intents: MemoryIntents, after: number): IntentStore {
  let written = 0;
  return {
    write: async (book, place, line) => {
      const stands = await intents.write(book, place, line);
      if ((written += 1) === after) throw new Killed();
      return stands;
    },
    read: (book, prefix) => intents.read(book, prefix),
    last: (book) => intents.last(book),
  };
}

function equal(what: string, got: bigint | undefined, expected: bigint): void {
  if (got !== expected) throw new Error(`${what}: ${got}, expected ${expected}`);
}

/** Waits for all, also when one fails: what goes on would disturb the next run. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
}
