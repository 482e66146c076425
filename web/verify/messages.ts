import type { Hex } from '#core/hex.js';
import type { VersionView } from '#core/views.js';
import type { Check } from './checks.js';
import type { Contracts } from './contracts.js';
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
  );

export type Answer =
  | { kind: 'check'; check: Check }
  | { kind: 'done'; ms: number; standings: Standing[] }
  /** Somebody could not be asked, so nothing is known. */
  | { kind: 'stopped'; reason: string };
