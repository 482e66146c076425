import type { Hex } from '#core/hex.js';
import type { CreditMessage } from '#core/messages.js';
import { addressOf, hashOf } from '#test/services/views.js';

/** What no function can process as it is. */
export interface Poison {
  noJson: string;
  /** Can be processed once there is such a job. */
  unknownJob: string;
  /** Another amount than `credited` says of the same share. */
  contradiction: string;
  /** Kills its function each time, until faultyFunctions.ts is told that the cause is gone. */
  deadly: string;
}

export const poisonedJob = hashOf('poisoned');
export const unknownJob = hashOf('nobody made this job');
export const deadlyRunner = addressOf('deadly');
const contradicted = addressOf('contradicted');

/** What is to be laid aside with its reason must not meet a crash at its last delivery. */
export const calmWords: readonly string[] = [unknownJob, contradicted];

/** The poison, and the credit that stands before it comes. */
export function poisonFor(payer: Hex): { poison: Poison; credited: CreditMessage } {
  const credited: CreditMessage = {
    type: 'credit',
    payer,
    job: poisonedJob,
    round: 1,
    runner: contradicted,
    units: '1',
    amount: '1',
    manifestHash: hashOf('manifest'),
  };
  const credit = (changes: Partial<CreditMessage>) => JSON.stringify({ ...credited, ...changes });
  const poison = {
    noJson: 'not JSON',
    unknownJob: JSON.stringify({ type: 'job', job: unknownJob }),
    contradiction: credit({ amount: '2' }),
    deadly: credit({ runner: deadlyRunner }),
  };
  return { poison, credited };
}
