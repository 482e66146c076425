import type { Hex } from '#core/hex.js';

export interface Log {
  topics: Hex[];
  data: Hex;
  blockNumber: Hex;
  transactionHash: Hex;
}

/** What a visitor's own node says. Anything but a JSON-RPC answer is an error that names the node. */
export class Rpc {
  #id = 0;

  constructor(readonly url: string) {}

  async chainId(): Promise<number> {
    return Number(await this.#ask<Hex>('eth_chainId', []));
  }

  logs(filter: { address: Hex; fromBlock: number; topics: (Hex | Hex[] | null)[] }): Promise<Log[]> {
    const { address, topics, fromBlock } = filter;
    return this.#ask('eth_getLogs', [
      { address, topics, fromBlock: `0x${fromBlock.toString(16)}`, toBlock: 'latest' },
    ]);
  }

  /** The answer's 32-byte words. */
  async call(to: Hex, data: Hex): Promise<Hex[]> {
    return words(await this.#ask<Hex>('eth_call', [{ to, data }, 'latest']));
  }

  /** Gas that a transaction used, and its block; null while the node does not know it. */
  async receipt(transaction: Hex): Promise<{ gas: number; block: number } | null> {
    const found = await this.#ask<{ gasUsed: Hex; blockNumber: Hex } | null>('eth_getTransactionReceipt', [
      transaction,
    ]);
    return found && { gas: Number(found.gasUsed), block: Number(found.blockNumber) };
  }

  async #ask<T>(method: string, params: unknown[]): Promise<T> {
    const id = ++this.#id;
    let response: Response;
    try {
      response = await fetch(this.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
        referrerPolicy: 'no-referrer',
      });
    } catch {
      throw new Unreachable(`the node at ${this.url} does not answer`);
    }
    if (!response.ok) throw new Unreachable(`the node at ${this.url} answers ${response.status}`);
    const answer = (await response.json()) as { result?: T; error?: { code?: number; message?: string } };
    if (answer.error?.code === reverted) throw new Reverted(answer.error.message);
    if (answer.error || answer.result === undefined)
      throw new Unreachable(
        `the node at ${this.url} refuses ${method}: ${answer.error?.message ?? 'no result'}`,
      );
    return answer.result;
  }
}

/** Says nothing of the data: somebody could not be asked. */
export class Unreachable extends Error {}

/** A contract has undone a call. */
export class Reverted extends Unreachable {}
/** As nodes number it (EIP-1474 leaves 3 to them, and they agree). */
const reverted = 3;

/** Static ABI values are 32 bytes each, one after the other (https://docs.soliditylang.org/en/latest/abi-spec.html). */
export function words(data: Hex): Hex[] {
  return (data.slice(2).match(/.{64}/g) ?? []).map((word): Hex => `0x${word}`);
}

export const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
export const addressWord = (address: Hex): Hex => `0x${address.slice(2).toLowerCase().padStart(64, '0')}`;
export const addressOf = (word: Hex): Hex => `0x${word.slice(26).toLowerCase()}`;
export const join = (...parts: Hex[]): Hex => `0x${parts.map((part) => part.slice(2)).join('')}`;
