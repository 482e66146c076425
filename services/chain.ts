import type { Deployment } from '#contracts/deployment.js';
import { accountReads, type AccountReads } from './chain/accounts.js';
import { consortiumReads, type ConsortiumReads } from './chain/consortium.js';
import { chainError } from './chain/errors.js';
import { jobReads, type JobReads } from './chain/jobs.js';
import { networkOf, type Network, type NetworkSettings } from './chain/networks.js';
import { rewardReads, type RewardReads } from './chain/rewards.js';
import { ChainRpc } from './chain/rpc.js';

export type { ChainClosing, ChainJob, ChainRound } from './chain/jobs.js';
export type { ChainEpoch } from './chain/rewards.js';

/**
 * What the contracts say. Addresses go in and come out in lower case; lists are in the order of the chain;
 * amounts are in token units, times in seconds since 1970.
 *
 * Every method can throw CHAIN_UNREACHABLE, CHAIN_WRONG_NETWORK, CHAIN_REFUSED.
 */
export interface Chain extends ConsortiumReads, JobReads, RewardReads, AccountReads {
  deployment: Deployment;
  network: Network;
  provider: ChainRpc;
  blockNumber(): Promise<number>;
  /** Ends connections and timers. */
  close(): void;
}

/**
 * @param options rpcUrls of one chain; each request goes to the first that answers. network: what differs from the
 * table of chains, or describes one that is not in it.
 * @throws CHAIN_UNKNOWN
 */
export function openChain(options: {
  rpcUrls: string[];
  deployment: Deployment;
  network?: NetworkSettings | undefined;
}): Chain {
  const { deployment } = options;
  const network = networkOf(deployment.chainId, options.network);
  const provider = new ChainRpc(options.rpcUrls, deployment);
  const reads = {
    ...consortiumReads(provider, deployment),
    ...jobReads(provider, deployment),
    ...rewardReads(provider, deployment),
    ...accountReads(provider),
    blockNumber: () => provider.getBlockNumber(),
  };
  return { deployment, network, provider, close: () => provider.destroy(), ...withOurErrors(reads) };
}

export type ConsortiumChain = Pick<Chain, 'provider' | 'close'> &
  ConsortiumReads &
  JobReads & {
    deployment: Pick<Deployment, 'chainId' | 'consortium' | 'jobs' | 'block'>;
    network: Network;
  };

/** The Consortium and Jobs contracts alone, for whoever is not told where the others are. @throws CHAIN_UNKNOWN */
export function openConsortium(options: {
  rpcUrls: string[];
  deployment: ConsortiumChain['deployment'];
  network?: NetworkSettings | undefined;
}): ConsortiumChain {
  const { deployment } = options;
  const network = networkOf(deployment.chainId, options.network);
  const provider = new ChainRpc(options.rpcUrls, deployment);
  const reads = withOurErrors({
    ...consortiumReads(provider, deployment),
    ...jobReads(provider, deployment),
  });
  return { deployment, network, provider, close: () => provider.destroy(), ...reads };
}

function withOurErrors<Reads extends object>(reads: Reads): Reads {
  const entries = Object.entries(reads) as [string, (...inputs: unknown[]) => Promise<unknown>][];
  const wrapped = entries.map(([name, read]) => [
    name,
    async (...inputs: unknown[]) => {
      try {
        return await read(...inputs);
      } catch (error) {
        throw chainError(error, `Reading ${name} from the chain`);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as Reads;
}
