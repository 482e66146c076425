import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';

const gwei = 10n ** 9n;
const milliEther = 10n ** 15n;
const hour = 3_600;

/** What has to be known of a chain before money moves on it. */
export interface Network {
  name: string;
  /** Blocks above a transaction's own before it counts. */
  confirmations: number;
  /** Blocks above an event's before money is reckoned from it: what is this deep is final. */
  reorgDepth: number;
  /** 0 where a block is made for each transaction, at once. */
  blockSeconds: number;
  /** The shortest dispute window that leaves time to report although the sequencer keeps reports out; seconds. */
  minWindowSeconds: number;
  /** Where people look at transactions, without a slash at the end; null for a chain of one's own. */
  explorer: string | null;
  /** Wei for a unit of gas beyond which a transaction waits. */
  maxFeePerGas: bigint;
  /** Wei that one intent may cost at most, the fee for data on L1 excluded. */
  maxCost: bigint;
}

/**
 * Sources. OP Stack: blocks of 2 s; a sequencing window of 12 hours, within which blocks that are not on L1 yet may be
 * replaced and after which L1 decides what is included (docs.optimism.io/stack/transactions/forced-transaction);
 * final with the L1 block that holds the data, 20 to 30 minutes after (…/transactions/transaction-finality). On Base a
 * full block was never reorganised by itself (docs.base.org/base-chain/network-information/transaction-finality).
 * Arbitrum: blocks of 250 ms; whoever is kept out by the sequencer can force inclusion after 24 hours
 * (delaySeconds 86400: docs.arbitrum.io, configure sequencer timing adjustments); final with L1
 * (docs.arbitrum.io/how-arbitrum-works/reference/finality-and-reorgs).
 *
 * Hence: confirmations of 10 to 20 s against a sequencer's restart, a reorg depth of 30 minutes, and twice the
 * forced-inclusion delay as the shortest window. On test nets nothing is at stake, so any window will do.
 */
const opStack = {
  confirmations: 10,
  reorgDepth: 900,
  blockSeconds: 2,
  minWindowSeconds: 24 * hour,
  maxFeePerGas: 5n * gwei,
  maxCost: 10n * milliEther,
};
const arbitrum = {
  confirmations: 40,
  reorgDepth: 7_200,
  blockSeconds: 0.25,
  minWindowSeconds: 48 * hour,
  maxFeePerGas: 5n * gwei,
  maxCost: 10n * milliEther,
};
const testNet = { minWindowSeconds: 0, maxFeePerGas: 100n * gwei, maxCost: 200n * milliEther };

/** By chain id. */
export const networks: Readonly<Record<number, Network>> = {
  10: { name: 'OP Mainnet', ...opStack, explorer: 'https://optimistic.etherscan.io' },
  8453: { name: 'Base', ...opStack, explorer: 'https://basescan.org' },
  42161: { name: 'Arbitrum One', ...arbitrum, explorer: 'https://arbiscan.io' },
  84532: { name: 'Base Sepolia', ...opStack, ...testNet, explorer: 'https://sepolia.basescan.org' },
  421614: { name: 'Arbitrum Sepolia', ...arbitrum, ...testNet, explorer: 'https://sepolia.arbiscan.io' },
  11155420: {
    name: 'OP Sepolia',
    ...opStack,
    ...testNet,
    explorer: 'https://sepolia-optimism.etherscan.io',
  },
  // No block comes without a transaction, so waiting for more of them would never end. What a kill of anvil undoes is
  // sent again by the sender.
  31337: {
    name: 'anvil',
    confirmations: 0,
    reorgDepth: 0,
    blockSeconds: 0,
    minWindowSeconds: 0,
    explorer: null,
    maxFeePerGas: 1_000n * gwei,
    maxCost: 1_000n * milliEther,
  },
};

const wei = z
  .string()
  .regex(/^\d{1,30}$/, 'wei, digits only')
  .transform(BigInt);

/** CHAIN_NETWORK: whatever differs from the table, and for a chain that is not in it everything but the explorer. */
export const networkSettings = z
  .strictObject({
    name: z.string().min(1).max(60),
    confirmations: z.number().int().min(0).max(100_000),
    reorgDepth: z.number().int().min(0).max(1_000_000),
    blockSeconds: z.number().min(0).max(3_600),
    minWindowSeconds: z.number().int().min(0),
    explorer: z.url().nullable(),
    maxFeePerGas: wei,
    maxCost: wei,
  })
  .partial();
export type NetworkSettings = { [Field in keyof Network]?: Network[Field] | undefined };

/**
 * @param own what a stack sets for itself
 * @throws CHAIN_UNKNOWN for a chain that is neither in the table nor described by `own`
 */
export function networkOf(chainId: number, own: NetworkSettings = {}): Network {
  const listed: NetworkSettings | undefined = networks[chainId];
  const network: NetworkSettings = { explorer: null, ...listed, ...own };
  if (isWhole(network)) return network;
  const known = Object.entries(networks).map(([id, { name }]) => `${name} (${id})`);
  throw new RoundtableError(
    'CHAIN_UNKNOWN',
    `Nothing is known of chain ${chainId}, so nobody can say when a payment on it counts. Known are ${known.join(', ')}. For another one set CHAIN_NETWORK to JSON with ${fields.join(', ')}; docs/payments.md says what they mean.`,
  );
}

/**
 * @param windowSeconds of disputes
 * @throws INVALID_INPUT where a sequencer could keep a report out until the window is over
 */
export function checkWindow({ name, minWindowSeconds }: Network, windowSeconds: number): void {
  if (windowSeconds < minWindowSeconds)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A dispute window of ${windowSeconds} s is too short for ${name}: its sequencer can delay a report, and ${minWindowSeconds} s are needed. Set DISPUTE_WINDOW_SECONDS, and deploy contracts with a window no shorter.`,
    );
}

const fields = [
  'name',
  'confirmations',
  'reorgDepth',
  'blockSeconds',
  'minWindowSeconds',
  'maxFeePerGas',
  'maxCost',
] as const;

function isWhole(network: NetworkSettings): network is Network {
  return fields.every((field) => network[field] !== undefined);
}
