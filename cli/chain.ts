import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { deployment as deploymentForm, type Deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import { openChain, type Chain } from '#services/chain.js';
import { networkSettings, type NetworkSettings } from '#services/chain/networks.js';
import { chainCalls } from '#services/chainCalls.js';
import { chainVariables } from '#services/environment.js';
import type { Context } from './command.js';

/** Which contracts are meant, and by which nodes they are reached. */
export interface ChainOptions {
  stage: string;
  rpc: string[];
}

/** @throws NOT_FOUND, INVALID_INPUT for the settings, CHAIN_UNKNOWN */
export async function withChain<T>(
  context: Context,
  { stage, rpc }: ChainOptions,
  work: (chain: Chain, calls: ReturnType<typeof chainCalls>) => Promise<T>,
): Promise<T> {
  const chain = openChainOf(context, { rpcUrls: rpc, ...readStageChain(context, stage) });
  try {
    return await work(chain, chainCalls(chain.deployment));
  } finally {
    chain.close();
  }
}

/** What a stage's settings say of the chain. */
interface StageChain {
  deployment: Deployment;
  network: NetworkSettings;
}

/** @throws NOT_FOUND, INVALID_INPUT */
export function readStageChain(context: Context, stage: string): StageChain {
  const path = resolve(context.folder, stage);
  if (!existsSync(path)) throw new RoundtableError('NOT_FOUND', `There is no file ${path}.`);
  const { deployment, chainNetwork } = parseMessage(settings, parseJson(path, stage), stage);
  return { deployment, network: chainNetwork };
}

/**
 * The chain of these contracts, for commands. What differs from the table of chains is said by the stage's settings where
 * there are some, and before them by CHAIN_NETWORK.
 * @throws INVALID_INPUT, CHAIN_UNKNOWN
 */
export function openChainOf(
  context: Context,
  of: { rpcUrls: string[]; deployment: unknown; network?: NetworkSettings },
): Chain {
  const deployment = parseMessage(deploymentForm, of.deployment, 'The deployment');
  const own = parseMessage(variable, context.environment, 'The environment');
  return openChain({ rpcUrls: of.rpcUrls, deployment, network: { ...of.network, ...own.CHAIN_NETWORK } });
}

const settings = z.looseObject({
  deployment: deploymentForm,
  chainNetwork: networkSettings.default({}),
});

const variable = z.object({ CHAIN_NETWORK: chainVariables.CHAIN_NETWORK });

function parseJson(path: string, what: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new RoundtableError('INVALID_INPUT', `${what} is not JSON.`, { cause });
  }
}
