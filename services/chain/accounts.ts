import { Interface, isError } from 'ethers';
import type { Hex } from '#core/hex.js';
import type { ChainRpc } from './rpc.js';

/** What accounts say that are contracts. */
export interface AccountReads {
  /** ERC-1271: whether the contract at an address takes a signature over 32 bytes for its own; false where is none. */
  acceptsSignature(account: Hex, digest: Hex, signature: Hex): Promise<boolean>;
}

export function accountReads(provider: Pick<ChainRpc, 'call'>): AccountReads {
  return {
    async acceptsSignature(account, digest, signature) {
      const data = abi.encodeFunctionData('isValidSignature', [digest, signature]);
      try {
        return (await provider.call({ to: account, data })) === accepted;
      } catch (error) {
        // A contract that says no by reverting, or that has no such function.
        if (isError(error, 'CALL_EXCEPTION')) return false;
        throw error;
      }
    },
  };
}

const abi = new Interface(['function isValidSignature(bytes32,bytes) view returns (bytes4)']);
/** The function's own selector, as https://eips.ethereum.org/EIPS/eip-1271 has it, in a word. */
const accepted = `0x1626ba7e${'00'.repeat(28)}`;
