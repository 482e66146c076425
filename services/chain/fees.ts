import type { Transaction } from 'ethers';
import { RoundtableError } from '#core/errors.js';
import type { Network } from './networks.js';
import type { Fees } from './transactions.js';

/** Wei for a unit of gas: the base fee of the next block, and what nodes advise to add. */
export interface Market {
  baseFee: bigint;
  tip: bigint;
}

type Caps = Pick<Network, 'maxFeePerGas' | 'maxCost'>;

/**
 * Fees that are good for eleven full blocks in a row, within the caps; only the base fee of its block is paid.
 * Null while the caps do not cover the next block.
 * @param spent wei that earlier attempts of the same intent may cost
 */
export function feesAt(market: Market, gasLimit: bigint, caps: Caps, spent: bigint): Fees | null {
  const cap = capOf(gasLimit, caps, spent);
  if (market.baseFee + market.tip > cap) return null;
  return {
    maxFeePerGas: least(4n * market.baseFee + market.tip, cap),
    maxPriorityFeePerGas: market.tip,
  };
}

/**
 * Fees of a transaction that takes the place of another with the same nonce. Nodes want both fees raised, geth by a
 * tenth (txpool.pricebump), Nethermind, like Parity before it, by an eighth. Null where the caps do not allow it.
 */
export function feesAbove(
  before: Fees,
  market: Market,
  gasLimit: bigint,
  caps: Caps,
  spent: bigint,
): Fees | null {
  const cap = capOf(gasLimit, caps, spent);
  const maxPriorityFeePerGas = most(raised(before.maxPriorityFeePerGas), market.tip);
  const floor = most(raised(before.maxFeePerGas), market.baseFee + maxPriorityFeePerGas);
  if (floor > cap) return null;
  const maxFeePerGas = least(most(floor, 4n * market.baseFee + maxPriorityFeePerGas), cap);
  return { maxFeePerGas, maxPriorityFeePerGas };
}

/** What a transaction costs at most, without the value it moves; wei. */
export function costOf({ gasLimit, maxFeePerGas }: Transaction): bigint {
  return gasLimit * (maxFeePerGas ?? 0n);
}

/** Whether a transaction can be in the next block, and no worse than others. */
export function isCurrent({ maxFeePerGas, maxPriorityFeePerGas }: Fees, market: Market): boolean {
  return maxFeePerGas >= market.baseFee + market.tip && maxPriorityFeePerGas >= market.tip;
}

export function feesOf({ maxFeePerGas, maxPriorityFeePerGas }: Transaction): Fees {
  return { maxFeePerGas: maxFeePerGas ?? 0n, maxPriorityFeePerGas: maxPriorityFeePerGas ?? 0n };
}

export function tooExpensive(
  what: string,
  { name, maxFeePerGas, maxCost }: Network,
  { baseFee, tip }: Market,
  gasLimit: bigint,
): RoundtableError {
  return new RoundtableError(
    'CHAIN_TOO_EXPENSIVE',
    `${what}: a unit of gas costs ${baseFee + tip} wei on ${name}, and up to ${gasLimit} are needed; the caps are ${maxFeePerGas} wei a unit and ${maxCost} wei in all. It waits; repeating goes on with it. CHAIN_NETWORK raises the caps.`,
    { details: { baseFee: String(baseFee), tip: String(tip), gasLimit: String(gasLimit) } },
  );
}

function capOf(gasLimit: bigint, { maxFeePerGas, maxCost }: Caps, spent: bigint): bigint {
  return least(maxFeePerGas, (maxCost - spent) / gasLimit);
}

const raised = (wei: bigint) => wei + wei / 8n + 1n;
const least = (a: bigint, b: bigint) => (a < b ? a : b);
const most = (a: bigint, b: bigint) => (a > b ? a : b);
