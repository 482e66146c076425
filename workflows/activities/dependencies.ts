import type { ReceiptStatement, SealListStatement } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import type { ShardRules } from '#core/shards.js';
import type { Archive } from '#services/archive.js';
import type { Artifacts } from '#services/artifacts.js';
import type { Chain } from '#services/chain.js';
import type { Queue } from '#services/queue.js';
import type { FunctionCall } from '#services/functionCalls.js';
import type { Sums } from '#services/sums.js';
import type { Table } from '#services/table.js';
import type { Updates } from '#services/updates.js';
import type { EvaluateRequest, EvaluateResult } from '#trainer/run/trainingProcess.js';
import type { UpdateOutliner } from '../updateOutline.js';
import type { ReadUpdate } from '../updateReader.js';

/** What activities need, handed in by the worker's main file or by a test. */
export interface Dependencies {
  coordinator: Hex;
  domain: { chainId: number; jobs: Hex };
  /** Seconds a round stays open to dispute before it is paid. */
  windowSeconds: number;
  table: Table;
  artifacts: Artifacts;
  updates: Pick<Updates, 'rounds' | 'forget' | 'list'>;
  readUpdate: ReadUpdate;
  /** For updates that are larger than what the worker holds: read in pieces, added by functions. */
  outliner: UpdateOutliner;
  shardRules: ShardRules;
  sums: Sums;
  sumFunction: FunctionCall;
  /** X25519 public key for which updates must be sealed, as this member announced it. */
  sealingKey: Hex;
  /** The member's signature of a receipt, r ‖ s ‖ v. */
  signReceipt: (statement: ReceiptStatement) => Hex;
  /** The member's signature of a round's seals, likewise. */
  signSealList: (statement: SealListStatement) => Hex;
  /** Opens what is sealed for this member; `context` is the hash of the plain bytes. @throws SEAL_NOT_FOR_YOU */
  unseal: (envelope: Uint8Array, context: Hex) => Uint8Array;
  archive: Archive;
  /** Arweave address of the key that archives. */
  archiveOwner: string;
  chain: Chain;
  credits: Queue;
  evaluator: { evaluate(request: EvaluateRequest, limits: { seconds: number }): Promise<EvaluateResult> };
  /** Folder for files that the evaluator reads; whatever lies there can be made again. */
  scratch: string;
}
