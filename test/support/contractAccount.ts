import type { Hex } from '#core/hex.js';
import { JsonRpcProvider } from 'ethers';

/**
 * Puts a contract account at an address of anvil's. By ERC-1271 it takes for its own what its owner's key has signed,
 * whatever else is behind those 65 bytes; signatures of such accounts are often longer.
 */
export async function placeContractAccount(rpcUrl: string, account: Hex, owner: Hex): Promise<void> {
  const provider = new JsonRpcProvider(rpcUrl, undefined, { staticNetwork: true });
  try {
    await provider.send('anvil_setCode', [account, codeOf(owner)]);
  } finally {
    provider.destroy();
  }
}

/** `isValidSignature(bytes32 digest, bytes signature)`, where the signature begins with r, s and v. */
const codeOf = (owner: Hex): Hex =>
  `0x${[
    '6004356000526064356040526084356060526', // digest, r and s into memory, for the precompile
    '0a43560f81c602052', // v
    '602060006080600060015afa50', // ecrecover
    `60005173${owner.slice(2).toLowerCase()}14`, // whose signature it is: the owner's?
    '631626ba7e0260e01b60005260206000f3', // the selector if so, zero if not
  ].join('')}`;
