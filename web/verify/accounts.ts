/** Accounts that are contracts: what they say of signatures made for them (https://eips.ethereum.org/EIPS/eip-1271). */
import type { Hex } from '#core/hex.js';
import { id } from './keccak.js';
import { join, Reverted, word, type Rpc } from './rpc.js';

/** Whether the contract at an address takes a signature over 32 bytes for its own; false where there is none. */
export async function acceptsSignature(
  rpc: Rpc,
  account: Hex,
  digest: Hex,
  signature: Hex,
): Promise<boolean> {
  try {
    const [answer] = await rpc.call(account, isValidSignatureCall(digest, signature));
    return answer === `${selector}${'00'.repeat(28)}`;
  } catch (error) {
    if (error instanceof Reverted) return false;
    throw error;
  }
}

export function isValidSignatureCall(digest: Hex, signature: Hex): Hex {
  const bytes = signature.slice(2);
  const padded: Hex = `0x${bytes.padEnd(64 * Math.ceil(bytes.length / 64), '0')}`;
  return join(selector, digest, word(64), word(bytes.length / 2), padded);
}

const selector: Hex = `0x${id('isValidSignature(bytes32,bytes)').slice(2, 10)}`;
