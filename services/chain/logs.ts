import type { Abi, ExtractAbiEventNames } from 'abitype';
import type { JsonRpcProvider, Log } from 'ethers';
import type { Deployment } from '#contracts/deployment.js';
import type { EventArguments, TypedContract, TypedLog } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { nodeReason } from './errors.js';

/** Where an event is on the chain. */
export interface Anchor {
  block: number;
  transaction: Hex;
}

export interface Confirmed {
  /** Events count only when this many blocks lie above theirs; 0 if not given. */
  confirmations?: number;
  /** Events count only from this block on; from the deployment on if not given. */
  from?: number;
}

export type ReadLogs = <A extends Abi, N extends ExtractAbiEventNames<A>>(
  contract: TypedContract<A>,
  name: N,
  indexed: Partial<EventArguments<A, N>>,
  at: Confirmed | undefined,
) => Promise<TypedLog<A, N>[]>;

/** Reads events of one name in the order of the chain. */
export function logReader(provider: JsonRpcProvider, deployment: Pick<Deployment, 'block'>): ReadLogs {
  return async (contract, name, indexed, at) => {
    const filter = { address: contract.address, topics: contract.topics(name, indexed) };
    const from = Math.max(deployment.block, at?.from ?? 0);
    const logs = await logsBetween(provider, filter, from, await lastBlock(provider, at));
    return logs.map((log) => contract.parse(name, log));
  };
}

/** The newest block that counts. */
export async function lastBlock(provider: JsonRpcProvider, at: Confirmed | undefined): Promise<number> {
  return (await provider.getBlockNumber()) - (at?.confirmations ?? 0);
}

type LogFilter = { address: string; topics: (string | string[] | null)[] };

/** Endpoints limit how many blocks or events one question may span; whatever is too much is asked in halves. */
async function logsBetween(
  provider: JsonRpcProvider,
  filter: LogFilter,
  from: number,
  to: number,
): Promise<Log[]> {
  if (to < from) return [];
  try {
    return await provider.getLogs({ ...filter, fromBlock: from, toBlock: to });
  } catch (error) {
    if (from === to || !/range|limit|too (many|large|big)|exceed/i.test(nodeReason(error))) throw error;
    const middle = Math.floor((from + to) / 2);
    const lower = await logsBetween(provider, filter, from, middle);
    return [...lower, ...(await logsBetween(provider, filter, middle + 1, to))];
  }
}
