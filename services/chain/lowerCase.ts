import type { Address } from '#contracts/deployment.js';

/** An address as it is written off chain; ethers gives it with the capitals of EIP-55. */
export function lowerCase(address: Address): Address {
  return address.toLowerCase() as Address;
}
