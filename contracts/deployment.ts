import { z } from 'zod';
import { address } from '#core/schema.js';
import type { Hex } from '#core/hex.js';

/** 20 bytes: an account or contract, lower case. */
export type Address = Hex;

/**
 * Where a consortium's contracts are; `block` is the one of the first contract, from which events are read.
 * Every process gets it as JSON in CHAIN_DEPLOYMENT.
 */
export const deployment = z.strictObject({
  chainId: z.number().int().positive(),
  token: address,
  consortium: address,
  jobs: address,
  rewards: address,
  /**
   * What convicts: wrong sums and steps, unfit runners, unanswered questions, wrong rewards, receipts and seals, wrong
   * medians and trimmed means.
   */
  judges: z.strictObject({
    sums: address,
    leaves: address,
    data: address,
    rewards: address,
    receipts: address,
    seals: address,
    robust: address,
  }),
  block: z.number().int().min(0),
});
export type Deployment = z.output<typeof deployment>;

/** All contracts at one address: for whoever must be told of contracts and calls none. */
export function deploymentAt(contract: Address, chainId: number, block = 1): Deployment {
  const judges = {
    sums: contract,
    leaves: contract,
    data: contract,
    rewards: contract,
    receipts: contract,
    seals: contract,
    robust: contract,
  };
  return {
    chainId,
    token: contract,
    consortium: contract,
    jobs: contract,
    rewards: contract,
    judges,
    block,
  };
}
