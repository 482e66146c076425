import { isError, keccak256, type JsonRpcProvider, type Wallet } from 'ethers';
import type { ChainCall } from '#contracts/typed.js';
import type { Hex } from '#core/hex.js';
import { chainError, nodeReason, revertError } from './errors.js';

/** value in wei; 0 if not given. */
export interface TransactionRequest extends ChainCall {
  value?: bigint;
}

/** The bytes that a node is given, and what they are known by. */
export interface SignedTransaction {
  raw: Hex;
  hash: Hex;
  nonce: number;
}

/** gasUsed in gas; succeeded is false when the contract refused the call. */
export interface MinedTransaction {
  block: number;
  gasUsed: bigint;
  succeeded: boolean;
}

/** What one key does on the chain, step by step. All throw CHAIN_UNREACHABLE and CHAIN_REFUSED. */
export interface Transactions {
  /** @throws CHAIN_REVERTED if the contract would refuse it, CHAIN_INSUFFICIENT_FUNDS */
  sign(what: string, request: TransactionRequest, nonce: number): Promise<SignedTransaction>;
  /** Hands the bytes to a node. That it has them, or that their nonce is used, is no error: the receipt decides. */
  broadcast(what: string, raw: Hex): Promise<void>;
  mined(hash: Hex): Promise<MinedTransaction | null>;
  /** Transactions of this key that are mined, and those together with the ones that wait. */
  counts(): Promise<{ mined: number; pending: number }>;
  /** Why the contract refused a transaction that was mined. */
  refusal(what: string, request: TransactionRequest, block: number): Promise<Error>;
}

/** What sending needs of a chain. */
export interface SendingChain {
  provider: JsonRpcProvider;
  deployment: { chainId: number };
}

export function transactionsOf(chain: SendingChain, wallet: Wallet): Transactions {
  const { provider, deployment } = chain;
  return {
    sign: async (what, request, nonce) => {
      const call = { ...request, from: wallet.address, value: request.value ?? 0n };
      try {
        const [gas, block, tip] = await Promise.all([
          provider.estimateGas(call),
          provider.getBlock('latest'),
          provider.send('eth_maxPriorityFeePerGas', []).then((wei) => BigInt(wei as string)),
        ]);
        const raw = (await wallet.signTransaction({
          ...call,
          type: 2,
          chainId: deployment.chainId,
          nonce,
          // The state may differ a little when it is mined; what is not used is not paid.
          gasLimit: (gas * 5n) / 4n,
          maxPriorityFeePerGas: tip,
          // Good for eleven full blocks in a row; only the base fee of its block is paid.
          maxFeePerGas: 4n * (block?.baseFeePerGas ?? 0n) + tip,
        })) as Hex;
        return { raw, hash: keccak256(raw) as Hex, nonce };
      } catch (error) {
        throw chainError(error, what);
      }
    },
    broadcast: async (what, raw) => {
      try {
        await provider.send('eth_sendRawTransaction', [raw]);
      } catch (error) {
        const sentBefore = /already (known|imported|exists)|known transaction/i.test(nodeReason(error));
        if (sentBefore || isError(error, 'NONCE_EXPIRED') || isError(error, 'REPLACEMENT_UNDERPRICED'))
          return;
        throw chainError(error, what);
      }
    },
    mined: async (hash) => {
      try {
        const receipt = await provider.getTransactionReceipt(hash);
        if (receipt === null) return null;
        return { block: receipt.blockNumber, gasUsed: receipt.gasUsed, succeeded: receipt.status === 1 };
      } catch (error) {
        throw chainError(error, `Looking for transaction ${hash}`);
      }
    },
    counts: async () => {
      try {
        const [mined, pending] = await Promise.all([
          provider.getTransactionCount(wallet.address, 'latest'),
          provider.getTransactionCount(wallet.address, 'pending'),
        ]);
        return { mined, pending };
      } catch (error) {
        throw chainError(error, `Counting transactions of ${wallet.address}`);
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
}
