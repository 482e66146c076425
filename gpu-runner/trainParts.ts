import type { Hex } from '#core/hex.js';
import type { TrainTask } from '#core/messages.js';
import type { Traces } from '#services/telemetry/traces.js';
import type { TrainProgress } from '#trainer/run/messages.js';
import type { Bandwidth } from './bandwidth.js';
import type { DataSets } from './dataSets.js';
import type { LocalStatistics } from './localStatistics.js';
import type { Log } from './log.js';
import type { ModelCache } from './modelCache.js';
import type { DecisionLog } from './decisionLog.js';
import type { AnnouncedKey } from './readers.js';
import type { ReceiptBook } from './receiptBook.js';
import type { RunnerHome } from './runnerHome.js';
import type { RunnerKey } from './runnerKey.js';
import type { SignedWork } from './signedWork.js';
import type { StackClient } from './stackClient.js';
import type { Trainer } from './trainer.js';
import type { Turns } from './turns.js';

/** What training a task needs; everything is handed in. */
export interface TrainParts {
  home: RunnerHome;
  key: RunnerKey;
  stack: Pick<StackClient, 'ask' | 'rules'>;
  bandwidth: Bandwidth;
  /** Null for a runner that does not read the chain. */
  announcedKey: AnnouncedKey | null;
  models: Pick<ModelCache, 'get' | 'trim'>;
  dataSets: Pick<DataSets, 'find'>;
  work: SignedWork;
  statistics: LocalStatistics;
  trainer: Trainer;
  turns: Pick<Turns, 'take'>;
  decisions: Pick<DecisionLog, 'append'>;
  receipts: Pick<ReceiptBook, 'expect'>;
  /** Address of the member whose stack the tasks come from. */
  coordinator: Hex;
  log: Log;
  traces: Traces;
}

export interface TrainControl {
  signal: AbortSignal;
  onProgress(task: TrainTask, progress: TrainProgress): void;
  /** Bytes of a file that have gone up to the stack or come down from it; null when the transfer has ended. */
  onTransfer?(transfer: Transfer | null): void;
}

export interface Transfer {
  direction: 'up' | 'down';
  bytes: number;
}
