import type { ActRecord } from '#core/acts.js';
import type { Hex } from '#core/hex.js';
import type { VersionView } from '#core/views.js';
import type { Check } from './checks.js';
import type { Contracts, Payment, Stake } from './contracts.js';
import type { Standing } from './rewards.js';

/** Where expected values come from: the visitor's own node, and gateways that need not be believed. */
export interface Sources {
  rpcUrl: string;
  gateways: string[];
  contracts: Contracts;
}

export type Question = Sources &
  (
    | { kind: 'version'; version: Hex; said: VersionView | null; flip: boolean }
    | { kind: 'rewards'; payer: Hex }
    | { kind: 'payments'; account: Hex }
    | { kind: 'stakes' }
    | { kind: 'acts'; records: readonly ActRecord[] }
  );

/** What a question was after besides its comparisons. */
export interface Found {
  standings: Standing[];
  payments: Payment[];
  stakes: Stake[];
}

export type Answer =
  | { kind: 'check'; check: Check }
  | { kind: 'done'; ms: number; found: Found }
  /** Somebody could not be asked, so nothing is known. */
  | { kind: 'stopped'; reason: string };
