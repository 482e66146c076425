/** Whoever accuses in tests, and what an accusation needs of the world around it. */
import { id, Wallet } from 'ethers';
import type { AuditSources } from '#audit/sources.js';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { typedContract } from '#contracts/typed.js';
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { giveEther, registerRunner, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { prepareCoordinator, updatesOf, type History } from './history.js';
import { runnerWallets } from './signing.js';

/** Nobody's member and nobody's runner. */
export const stranger = new Wallet(id('a stranger'));

/** A chain with a coordinator, its runners with their stakes, and a stranger who can pay for gas. */
export async function startCourt(runners: readonly Wallet[] = runnerWallets): Promise<ChainStack> {
  const stack = await startChainStack();
  await prepareCoordinator(stack);
  await giveEther(stack.anvil, stranger);
  for (const wallet of runners) await registerRunner(stack, wallet);
  return stack;
}

/** As whoever holds all updates has them. */
export function sourcesOf(stack: ChainStack, history: History): AuditSources {
  return { chain: stack.chain, archive: history.archive, hash: sha256, updateSource: updatesOf(history) };
}

/** The window of 60 seconds passes. */
export async function passWindow({ anvil }: ChainStack): Promise<void> {
  await anvil.provider.send('evm_increaseTime', [61]);
  await anvil.provider.send('evm_mine', []);
}

/** Nobody answers what was asked in a block: the question's time passes, and anyone ends it. */
export async function expire(stack: ChainStack, block: number): Promise<void> {
  const { chain } = stack;
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges.data, chain.provider);
  const [log] = await chain.provider.getLogs({
    address: judge.address,
    topics: judge.topics('Asked', {}) as string[],
    fromBlock: block,
  });
  if (!log) throw new Error('Nothing was asked.');
  const { question } = judge.parse('Asked', log).args;
  const anyone = stack.sender(stack.founder);
  const early: unknown = await anyone
    .send(`early ${question}`, judge.call.expire(question))
    .catch((error) => error);
  if (!isRoundtableError(early) || early.details['error'] !== 'NotDue')
    throw new Error('It ended too early.');
  await passWindow(stack);
  await anyone.send(`expire ${question}`, judge.call.expire(question));
}

export function lies(wallet: Wallet): Promise<Hex> {
  return wallet.signMessage('nothing of the kind') as Promise<Hex>;
}
