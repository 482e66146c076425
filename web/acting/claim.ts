import type { Hex } from '#core/hex.js';
import type { Claim } from '../verify/rewards.js';
import { ask, type Connection } from './wallet.js';

/** What a claim would cost, by the node behind the wallet. */
export interface Estimate {
  gas: number;
  /** Wei. */
  gasPrice: bigint;
  wei: bigint;
  /** What the account has, wei. */
  balance: bigint;
}

/** What the leaf proves beyond what was paid already, token units, as the contract stands now. */
export async function readDue({ wallet }: Connection, rewards: Hex, claim: Claim): Promise<bigint> {
  const call = { to: rewards, data: claim.claimedCall };
  const paid = BigInt(await ask<Hex>(wallet.provider, 'eth_call', [call, 'latest']));
  const due = BigInt(claim.cumulative) - paid;
  return due > 0n ? due : 0n;
}

/** Runs the claim without sending it. @throws Declined, with what the contract said against it */
export async function simulateClaim(
  { wallet, account }: Connection,
  rewards: Hex,
  { call: data }: Claim,
): Promise<Estimate> {
  const { provider } = wallet;
  const call = { from: account, to: rewards, data };
  // As in the next block: the newest one of an idle chain is from before the epoch took effect.
  await ask(provider, 'eth_call', [call, 'pending']);
  const [gas, price, balance] = await Promise.all([
    ask<Hex>(provider, 'eth_estimateGas', [call, 'pending']),
    ask<Hex>(provider, 'eth_gasPrice'),
    ask<Hex>(provider, 'eth_getBalance', [account, 'latest']),
  ]);
  const gasPrice = BigInt(price);
  return { gas: Number(gas), gasPrice, wei: BigInt(gas) * gasPrice, balance: BigInt(balance) };
}

/** Has the wallet send it, and waits until it stands in a block. @throws Declined, or when it was reverted there */
export async function sendClaim(
  { wallet, account }: Connection,
  rewards: Hex,
  { call: data }: Claim,
  estimate: Estimate,
  onSent: () => void,
): Promise<{ transaction: Hex; gas: number }> {
  const { provider } = wallet;
  // What others do in the meantime may make it dearer; what is not used is not paid.
  const gas = `0x${Math.ceil(estimate.gas * 1.2).toString(16)}`;
  const transaction = await ask<Hex>(provider, 'eth_sendTransaction', [
    { from: account, to: rewards, data, gas },
  ]);
  onSent();
  for (;;) {
    const receipt = await ask<{ status: Hex; gasUsed: Hex } | null>(provider, 'eth_getTransactionReceipt', [
      transaction,
    ]);
    if (receipt && Number(receipt.status) === 1) return { transaction, gas: Number(receipt.gasUsed) };
    if (receipt) throw new Error(`the contract reverted it in transaction ${transaction}`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
