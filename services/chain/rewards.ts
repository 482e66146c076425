import type { JsonRpcProvider } from 'ethers';
import type { Address, Deployment } from '#contracts/deployment.js';
import { rewardsAbi } from '#contracts/generated/Rewards.js';
import { tokenAbi } from '#contracts/generated/Token.js';
import { typedContract } from '#contracts/typed.js';
import type { Sha256Hex } from '#core/hex.js';
import { lastBlock, logReader, type Anchor, type Confirmed } from './logs.js';
import { lowerCase } from './lowerCase.js';

/** Token units. bond: what it loses for a wrong epoch; latest: newest published epoch; inEffect: the one that is claimed against; 0 for none. */
export interface ChainPurse {
  funded: bigint;
  paid: bigint;
  bond: bigint;
  latest: number;
  inEffect: number;
}

/** total in token units; effectiveAt in seconds since 1970. */
export interface ChainEpoch extends Anchor {
  payer: Address;
  epoch: number;
  root: Sha256Hex;
  leaves: number;
  total: bigint;
  manifestHash: Sha256Hex;
  effectiveAt: number;
}

/** amount in token units. */
export interface ChainClaim extends Anchor {
  payer: Address;
  account: Address;
  epoch: number;
  amount: bigint;
}

export interface RewardReads {
  purse(payer: Address): Promise<ChainPurse>;
  /** Those that stand: what was revoked is not among them. */
  epochs(payer: Address, at?: Confirmed): Promise<ChainEpoch[]>;
  /** What a payer's bond must be to publish, token units. */
  payerBond(): Promise<bigint>;
  claims(payer: Address, at?: Confirmed): Promise<ChainClaim[]>;
  /** Token units that the account was ever paid from the payer's purse. */
  claimed(payer: Address, account: Address): Promise<bigint>;
  /** Token units that the account holds. */
  balance(account: Address): Promise<bigint>;
  /** Digits after the point when people write the token. */
  decimals(): Promise<number>;
  /** Where the owner first allowed the spender to pull tokens; null: never. */
  firstApproval(owner: Address, spender: Address): Promise<Anchor | null>;
  /** Token units of the owner that the spender may pull. */
  allowance(owner: Address, spender: Address): Promise<bigint>;
}

export function rewardReads(provider: JsonRpcProvider, deployment: Deployment): RewardReads {
  const rewards = typedContract(rewardsAbi, deployment.rewards, provider);
  const token = typedContract(tokenAbi, deployment.token, provider);
  const logs = logReader(provider, deployment);
  return {
    purse: async (payer) => {
      const [funded, paid, latest] = await rewards.read.purses(payer);
      const inEffect = await rewards.read.epochInEffect(payer);
      const bond = await rewards.read.bonds(payer);
      return { funded, paid, bond, latest: Number(latest), inEffect: Number(inEffect) };
    },
    epochs: async (payer, at) => {
      const published = await logs(rewards, 'EpochPublished', { payer }, at);
      if (published.length === 0) return [];
      const block = await lastBlock(provider, at);
      const then = typedContract(rewardsAbi, deployment.rewards, {
        provider,
        call: (request) => provider.call({ ...request, blockTag: block }),
      });
      const [, , latest] = await then.read.purses(payer);
      // A number is given anew after a revocation: only its last publication can stand.
      const stands = (epoch: bigint, index: number) =>
        epoch <= latest && !published.slice(index + 1).some(({ args }) => args.epoch === epoch);
      return published
        .filter(({ args }, index) => stands(args.epoch, index))
        .map(({ args, ...anchor }) => ({
          payer: lowerCase(args.payer),
          epoch: Number(args.epoch),
          root: args.root,
          leaves: Number(args.leaves),
          total: args.total,
          manifestHash: args.manifestHash,
          effectiveAt: Number(args.effectiveAt),
          ...anchor,
        }));
    },
    payerBond: () => rewards.read.minBond(),
    claims: async (payer, at) => {
      const claims = await logs(rewards, 'Claimed', { payer }, at);
      return claims.map(({ args, ...anchor }) => ({
        payer: lowerCase(args.payer),
        account: lowerCase(args.account),
        epoch: Number(args.epoch),
        amount: args.amount,
        ...anchor,
      }));
    },
    claimed: (payer, account) => rewards.read.claimed(payer, account),
    balance: (account) => token.read.balanceOf(account),
    decimals: async () => Number(await token.read.decimals()),
    firstApproval: async (owner, spender) => {
      const [first] = await logs(token, 'Approval', { owner, spender }, undefined);
      return first ? { block: first.block, transaction: first.transaction } : null;
    },
    allowance: (owner, spender) => token.read.allowance(owner, spender),
  };
}
