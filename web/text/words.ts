import type { MissingCode } from '#core/messages.js';
import type { JobState, RoundPhase, RoundSeconds } from '#core/views.js';

/** The page's words for what core names in short. */

export const stateWords: Record<JobState, string> = {
  queued: 'queued',
  running: 'running',
  paused: 'paused',
  done: 'done',
  cancelled: 'cancelled',
  failed: 'failed',
};

export const phaseWords: Record<RoundPhase, string> = {
  selecting: 'selecting runners',
  collecting: 'collecting updates',
  aggregating: 'adding updates',
  evaluating: 'being measured',
  archiving: 'being archived',
  anchoring: 'being anchored on chain',
  done: 'done',
  failed: 'failed',
};

export const missingWords: Record<MissingCode, string> = {
  offline: 'was off',
  'no-data': 'had no such data',
  'not-registered': 'was not registered',
  suspended: 'was suspended',
  drained: 'was drained',
  refused: 'refused',
  late: 'came too late',
  lost: 'was lost on the way',
  failed: 'failed',
  rejected: 'sent what was rejected',
};

/** Kinds of records in a runner's decision log; one that is missing here is shown as it is. */
export const decisionWords: Readonly<Record<string, string>> = {
  started: 'started',
  enrolled: 'entered',
  revoked: 'revoked',
  allowed: 'allowed',
  sealed: 'sealed',
  opened: 'opened',
  sent: 'sent',
  refused: 'refused',
  repaired: 'repaired',
  lost: 'lost',
};

export const timeWords: Record<Exclude<keyof RoundSeconds, 'total'>, string> = {
  select: 'select',
  collect: 'train and collect',
  aggregate: 'add',
  evaluate: 'measure',
  archive: 'archive',
  anchor: 'anchor',
};
