import { openConsortium, type ConsortiumChain } from '#services/chain.js';
import { startCourt } from '#test/audit/court.js';
import { writeHistory } from '#test/audit/history.js';
import type { ChainStack } from '#test/services/chainStack.js';

/** A court, and the chain as a runner opens it. */
export interface RunnersCourt {
  stack: ChainStack;
  chain: ConsortiumChain;
  stop(): Promise<void>;
}

export async function startRunnersCourt(): Promise<RunnersCourt> {
  const stack = await startCourt();
  const chain = openConsortium({ rpcUrls: [stack.anvil.url], deployment: stack.deployment });
  // A chain's first history is paid, which takes it beyond its window.
  await writeHistory(stack, 'paid');
  return {
    stack,
    chain,
    async stop() {
      chain.close();
      await stack.stop();
    },
  };
}
