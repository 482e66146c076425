import { id, Wallet } from 'ethers';
import { deployContracts } from '#contracts/deploy.js';
import type { Address, Deployment } from '#contracts/deployment.js';
import type { Hex } from '#core/hex.js';
import { startAnvil, type Anvil } from '#test/anvil.js';
import { openChain, type Chain } from '#services/chain.js';
import type { NetworkSettings } from '#services/chain/networks.js';
import { chainCalls, type RoundClosing } from '#services/chainCalls.js';
import { createSender, type Sender } from '#services/chainSender.js';
import { MemoryIntents } from './memoryIntents.js';

export const archiveId = 'frkGPuTzi4t7sEIhBqHsULKzn0oMkjYbvXMdwsjcbbg';
export const hash = (text: string): Hex => id(text) as Hex;

/** A chain with the contracts on it and keys that can pay; `founder` has all tokens. */
export interface ChainStack {
  anvil: Anvil;
  deployment: Deployment;
  chain: Chain;
  calls: ReturnType<typeof chainCalls>;
  founder: Wallet;
  member: Wallet;
  intents: MemoryIntents;
  sender(wallet: Wallet): Sender;
  /** Another view of the same chain: through other endpoints, with other figures than the table's. */
  open(rpcUrls: string[], network?: NetworkSettings): Chain;
  stop(): Promise<void>;
}

export async function startChainStack(
  options: { hardfork?: string; payerBond?: bigint } = {},
): Promise<ChainStack> {
  const anvil = await startAnvil(options);
  const [founder, member] = [new Wallet(id('founder')), new Wallet(id('member'))];
  for (const wallet of [founder, member]) await giveEther(anvil, wallet);
  const deployment = await deployContracts(founder.connect(anvil.provider), {
    minStake: 100n,
    unbondingSeconds: 3_600,
    windowSeconds: 60,
    patienceSeconds: 3_600,
    payerBond: options.payerBond ?? 0n,
    questionBond: 10n ** 16n,
  });
  const chain = openChain({ rpcUrls: [anvil.url], deployment });
  const intents = new MemoryIntents();
  const others: Chain[] = [];
  return {
    anvil,
    deployment,
    chain,
    calls: chainCalls(deployment),
    founder,
    member,
    intents,
    sender: (wallet) => createSender({ chain, wallet, intents }),
    open: (rpcUrls, network) => {
      const other = openChain({ rpcUrls, deployment, network });
      others.push(other);
      return other;
    },
    stop: async () => {
      for (const opened of [chain, ...others]) opened.close();
      await anvil.stop();
    },
  };
}

export async function giveEther(anvil: Anvil, wallet: Wallet): Promise<void> {
  await anvil.provider.send('anvil_setBalance', [wallet.address, '0x3635c9adc5dea00000']);
}

/** Makes a wallet a member with so many tokens, which the contracts may take: that of the jobs, if no other is named. */
export async function admitMember(
  stack: ChainStack,
  wallet: Wallet,
  member: { name: string; tokens: bigint; takers?: readonly Address[] },
): Promise<void> {
  const { calls, deployment } = stack;
  const who = addressOf(wallet);
  const founder = stack.sender(stack.founder);
  await founder.send(`admit ${who}`, calls.consortium.addMember(who, member.name, ''));
  await founder.send(`tokens of ${who}`, calls.token.transfer(who, member.tokens));
  for (const taker of member.takers ?? [deployment.jobs])
    await stack
      .sender(wallet)
      .send(`${taker} may take from ${who}`, calls.token.approve(taker, member.tokens));
}

/** Registers a runner with the stack's member, with what it needs for that: gas and its stake. */
export async function registerRunner(stack: ChainStack, wallet: Wallet): Promise<void> {
  const { calls, deployment, founder, member, anvil } = stack;
  await giveEther(anvil, wallet);
  const who = addressOf(wallet);
  await stack.sender(founder).send(`fund ${who}`, calls.token.transfer(who, 100n));
  await stack.sender(wallet).send(`approve ${who}`, calls.token.approve(deployment.consortium, 100n));
  await stack.sender(wallet).send(`register ${who}`, calls.consortium.register(addressOf(member), 100n));
}

export const addressOf = (wallet: Wallet): Address => wallet.address.toLowerCase() as Address;

export function closing(job: Hex, round: number): RoundClosing {
  return {
    job,
    round,
    rootHeader: hash(`header ${round}`),
    paramsRoot: hash(`params ${round}`),
    versionId: hash(`version ${round} of ${job}`),
    manifestHash: hash(`manifest ${round}`),
    archiveId,
  };
}
