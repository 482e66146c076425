import { deploymentAt, type Deployment } from '#contracts/deployment.js';
import { isRoundtableError } from '#core/errors.js';
import { openChain } from '#services/chain.js';
import { addressOf } from '../services/views.js';
import { text } from './bytes.js';

export const word = (value: number): string => value.toString(16).padStart(64, '0');

/** Whoever answers for the contracts is what matters. */
export const exampleDeployment = (chainId: number): Deployment =>
  deploymentAt(addressOf('contract'), chainId, 0);

/** How many questions to nodes are under way at once: each waits for a timer of ethers. */
export const nodesAtOnce = 100;

/**
 * Reads a runner or the members from a node that answers these bytes; only what is asked before it is honest. Takes
 * the place of fetch for good: nothing else in the test's process asks anybody.
 */
export function hostileNode(): (bytes: Uint8Array) => Promise<unknown> {
  const saying = new Map<string, Uint8Array>();
  const idle = Array.from({ length: nodesAtOnce }, (_, index) => {
    const url = `http://127.0.0.1:${index + 1}/`;
    return { url, chain: openChain({ rpcUrls: [url], deployment: exampleDeployment(31_337) }) };
  });
  const honest: Record<string, string> = {
    eth_chainId: '0x7a69',
    eth_getCode: '0x01',
    eth_blockNumber: '0x10',
  };
  globalThis.fetch = (url, init) => {
    const asked = JSON.parse(String(init?.body)) as Asked | Asked[];
    const { id, method } = Array.isArray(asked) ? (asked[0] ?? { id: 0, method: '' }) : asked;
    const result = honest[method];
    const answer =
      result === undefined
        ? text(saying.get(String(url)) ?? new Uint8Array()).replace('"id":0', `"id":${id}`)
        : JSON.stringify({ jsonrpc: '2.0', id, result });
    return Promise.resolve(new Response(Buffer.from(answer, 'latin1')));
  };
  return async (bytes) => {
    const node = idle.pop();
    if (!node) throw new Error('more is asked at once than there are nodes');
    saying.set(node.url, bytes);
    try {
      return await (bytes.includes(0x5b) ? node.chain.members() : node.chain.runner(addressOf('r')));
    } catch (error) {
      // The revert among the examples is what a refused call looks like.
      if (isRoundtableError(error, 'CHAIN_REVERTED')) return null;
      throw error;
    } finally {
      idle.push(node);
    }
  };
}

interface Asked {
  id: number;
  method: string;
}
