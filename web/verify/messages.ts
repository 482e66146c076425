import type { ActRecord } from '#core/acts.js';
import type { Hex } from '#core/hex.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import type { CreditMessage } from '#core/messages.js';
import type { EpochView, JobView, RoundView, VersionView } from '#core/views.js';
import type { Check } from './checks.js';
import type { Contracts, Payment, Stake } from './contracts.js';
import type { ChainVersion } from './lineage.js';
import type { ModelFiles } from './model.js';
import type { Progress, Standing } from './rewards.js';

/** Where expected values come from: the visitor's own node, and gateways that need not be believed. */
export interface Sources {
  rpcUrl: string;
  gateways: string[];
  contracts: Contracts;
}

/** What the API said, to be compared field by field; null or empty where it could not be asked. */
export interface Said {
  version: VersionView | null;
  round: RoundView | null;
  job: JobView | null;
  credits: readonly CreditMessage[];
}

export type Question = Sources &
  (
    | { kind: 'version'; version: Hex; said: Said; flip: boolean }
    | { kind: 'rewards'; payer: Hex; said: { epochs: readonly EpochView[] } }
    | { kind: 'lineage'; newest: number }
    | { kind: 'model'; version: Hex; files: boolean }
    | { kind: 'payments'; account: Hex }
    | { kind: 'stakes' }
    | { kind: 'windows'; payer: Hex }
    | { kind: 'acts'; records: readonly ActRecord[] }
  );

/** What a question was after besides its comparisons. */
export interface Found {
  standings: Standing[];
  payments: Payment[];
  stakes: Stake[];
  windows: EpochWindow[];
}

/** Since when, or from when on, an epoch's amounts can be claimed; ms since 1970. Before, it can be objected to. */
export interface EpochWindow {
  epoch: number;
  effectiveAt: number;
}

export type Answer =
  | { kind: 'check'; check: Check }
  /** How far a long question is, in parts of its own. */
  | { kind: 'progress'; progress: Progress }
  | { kind: 'done'; ms: number; found: Found }
  | { kind: 'lineage'; versions: ChainVersion[] }
  | {
      kind: 'model';
      manifest: RoundManifest | GenesisManifest;
      genesis: GenesisManifest;
      files: ModelFiles | null;
    }
  /** Somebody could not be asked, so nothing is known. */
  | { kind: 'stopped'; reason: string };
