import { keccak256, Transaction, type Wallet } from 'ethers';
import type { ChainCall } from '#contracts/typed.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { chainError, revertError } from './errors.js';
import type { Market } from './fees.js';
import type { Network } from './networks.js';
import type { Answer, ChainRpc } from './rpc.js';
import { inBlock, minedAs } from './sightings.js';

/** value in wei; 0 if not given. */
export interface TransactionRequest extends ChainCall {
  value?: bigint;
}

/** The bytes that a node is given, and what they are known by. */
export interface SignedTransaction {
  raw: Hex;
  hash: Hex;
}

/** Wei for a unit of gas: what is paid at most, and what of it may go to whoever makes the block. */
export interface Fees {
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
}

/**
 * gasUsed in gas; succeeded is false when the contract refused the call; counts when enough blocks lie above it,
 * by the chain's table (networks.ts).
 */
export interface MinedTransaction {
  hash: Hex;
  block: number;
  gasUsed: bigint;
  succeeded: boolean;
  counts: boolean;
}

/** What the endpoints made of bytes they were given: one took them or had them, or all refused them for a reason. */
export type Reception =
  { kind: 'taken' | 'nonce used' | 'too cheap' } | { kind: 'refused' | 'no funds'; reason: string };

/** What one key does on the chain, step by step. All throw CHAIN_UNREACHABLE and CHAIN_REFUSED. */
export interface Transactions {
  /** Gas that the request needs. @throws CHAIN_REVERTED if the contract would refuse it, CHAIN_INSUFFICIENT_FUNDS */
  estimate(what: string, request: TransactionRequest): Promise<bigint>;
  market(): Promise<Market>;
  sign(request: TransactionRequest, nonce: number, gasLimit: bigint, fees: Fees): Promise<SignedTransaction>;
  /** Hands the bytes to every endpoint. */
  broadcast(raw: Hex): Promise<Reception>;
  /** Whether the transaction is in the chain, as most endpoints that know its block say. */
  mined(hash: Hex): Promise<MinedTransaction | null>;
  /** How many transactions of this key are mined, as most endpoints say; null where they do not agree. */
  count(): Promise<number | null>;
  /**
   * The transaction that was mined under a nonce, proved by this key's own signature on it, so that no endpoint can
   * make one up. Null if there is none; undefined where no endpoint remembers enough to tell.
   */
  minedUnder(nonce: number): Promise<Hex | null | undefined>;
  /** Why the contract refused a transaction that was mined. */
  refusal(what: string, request: TransactionRequest, block: number): Promise<Error>;
}

/** What sending needs of a chain. */
export interface SendingChain {
  provider: ChainRpc;
  deployment: { chainId: number };
  network: Network;
}

export function transactionsOf(chain: SendingChain, wallet: Wallet): Transactions {
  const { provider, deployment, network } = chain;

  return {
    estimate: async (what, request) => {
      try {
        const call = { ...request, from: wallet.address, value: request.value ?? 0n };
        // The state may differ a little when it is mined; what is not used is not paid.
        return ((await provider.estimateGas(call)) * 5n) / 4n;
      } catch (error) {
        throw chainError(error, what);
      }
    },
    market: async () => {
      try {
        const [pending, tip] = await Promise.all([
          // The base fee of the block that comes, where the node tells it.
          provider
            .send('eth_getBlockByNumber', ['pending', false])
            .then((block) => block ?? provider.send('eth_getBlockByNumber', ['latest', false])),
          provider.send('eth_maxPriorityFeePerGas', []),
        ]);
        return {
          baseFee: BigInt((pending as { baseFeePerGas?: string }).baseFeePerGas ?? 0),
          tip: BigInt(tip as string),
        };
      } catch (error) {
        throw chainError(error, 'Asking for the price of gas');
      }
    },
    sign: async (request, nonce, gasLimit, fees) => {
      const { to, data, value = 0n } = request;
      const { chainId } = deployment;
      const unsigned = { to, data, value, type: 2, chainId, nonce, gasLimit, ...fees };
      const raw = (await wallet.signTransaction(unsigned)) as Hex;
      return { raw, hash: keccak256(raw) as Hex };
    },
    broadcast: async (raw) =>
      receptionOf(await provider.everyone('eth_sendRawTransaction', [raw]), keccak256(raw)),
    mined: async (hash) => {
      const receipt = minedAs(hash, await provider.everyone('eth_getTransactionReceipt', [hash]));
      if (receipt === null) return null;
      const { block, blockHash, gasUsed, succeeded } = receipt;
      const blocks = await provider.everyone('eth_getBlockByNumber', [`0x${block.toString(16)}`, false]);
      if (!inBlock(hash, blockHash, blocks)) return null;
      const counts =
        network.confirmations === 0 ||
        middle(numbersIn(await provider.everyone('eth_blockNumber', []))) - block >= network.confirmations;
      return { hash, block, gasUsed, succeeded, counts };
    },
    count: async () => {
      const answers = await provider.everyone('eth_getTransactionCount', [wallet.address, 'latest']);
      const counts = numbersIn(answers);
      if (counts.length === 0)
        throw new RoundtableError(
          'CHAIN_REFUSED',
          `No RPC endpoint told how many transactions ${wallet.address} has sent. Repeating is safe.`,
        );
      return agreed(counts);
    },
    minedUnder: async (nonce) => {
      try {
        const head = await provider.getBlockNumber();
        const found = await blockOf(nonce, head).catch(() => undefined);
        if (found === null) return null;
        if (found !== undefined) return await signedIn(found, nonce);
        for (let block = head; block > Math.max(0, head - blocksSearched); block -= 1) {
          const hash = await signedIn(block, nonce);
          if (hash !== null) return hash;
        }
        return undefined;
      } catch (error) {
        throw chainError(error, `Looking for what was mined under nonce ${nonce}`);
      }
    },
    refusal: async (what, request, block) => {
      try {
        await provider.call({ ...request, from: wallet.address, blockTag: block });
      } catch (error) {
        return chainError(error, what);
      }
      return revertError(null, what);
    },
  };

  /** The block that mined a nonce, found by how many were mined at each height; recent ones first. */
  async function blockOf(nonce: number, head: number): Promise<number | null> {
    if ((await countAt(head)) <= nonce) return null;
    let [before, after] = [head, head];
    for (let step = 1; before > 0 && (before === after || (await countAt(before)) > nonce); step *= 2) {
      after = before;
      before = Math.max(0, before - step);
    }
    while (after - before > 1) {
      const half = Math.floor((before + after) / 2);
      if ((await countAt(half)) > nonce) after = half;
      else before = half;
    }
    return after;
  }

  function countAt(block: number): Promise<number> {
    return provider.getTransactionCount(wallet.address, block);
  }

  async function signedIn(number: number, nonce: number): Promise<Hex | null> {
    const block = await provider.getBlock(number, true);
    const found = block?.prefetchedTransactions.find(
      (entry) => entry.from === wallet.address && entry.nonce === nonce,
    );
    if (found === undefined) return null;
    // Hash and signer are computed from the fields: what the node says of them does not count.
    const signed = Transaction.from(found);
    return signed.from === wallet.address && signed.nonce === nonce ? (signed.hash as Hex) : null;
  }
}

/** Blocks that are looked through where nodes do not keep old states. */
const blocksSearched = 256;

/** One that took it outweighs those that did not. */
function receptionOf(answers: readonly Answer[], hash: string): Reception {
  const receptions = answers.map((answer): Reception => {
    if ('result' in answer)
      return answer.result === hash
        ? { kind: 'taken' }
        : { kind: 'refused', reason: `it answered ${JSON.stringify(answer.result)}` };
    const reason = String(answer.error.message);
    // The words of geth, reth, Nethermind, Besu and anvil.
    if (/already (known|imported|exists)|known transaction|alreadyknown/i.test(reason))
      return { kind: 'taken' };
    if (/nonce (is )?too low|old ?nonce|nonce already used/i.test(reason)) return { kind: 'nonce used' };
    if (/underpriced|less than block base fee|fee ?cap|fee too low|feetoolow/i.test(reason))
      return { kind: 'too cheap' };
    return { kind: /insufficient (funds|balance)/i.test(reason) ? 'no funds' : 'refused', reason };
  });
  for (const kind of ['taken', 'nonce used', 'too cheap', 'no funds', 'refused'] as const) {
    const found = receptions.find((reception) => reception.kind === kind);
    if (found) return found;
  }
  throw new RoundtableError('CHAIN_UNREACHABLE', 'No RPC endpoint answered.');
}

function numbersIn(answers: readonly Answer[]): number[] {
  return answers.flatMap((answer) =>
    'result' in answer && typeof answer.result === 'string' && /^0x[0-9a-f]+$/i.test(answer.result)
      ? [Number(answer.result)]
      : [],
  );
}

/** The lower median: more than half say at least so much. */
function middle(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)] ?? 0;
}

function agreed(numbers: readonly number[]): number | null {
  return (
    numbers.find((number) => numbers.filter((other) => other === number).length * 2 > numbers.length) ?? null
  );
}
