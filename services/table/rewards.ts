import { RoundtableError } from '#core/errors.js';
import type { JobId } from '#core/hex.js';
import { creditMessage, type CreditMessage } from '#core/messages.js';
import { epochView, type EpochView } from '#core/views.js';
import { decodeView, encodeView, ordinal, type Items } from './items.js';

/** Credits (an index that settlement checks against the manifests) and the epochs that paid them. */
export interface RewardTable {
  /** Once for each job, round and runner. @throws CONFLICT when the same share was credited differently before */
  credit(message: CreditMessage): Promise<'credited' | 'repeated'>;
  /** Ascending by job, round and runner; of one job, or one of its rounds, if given. */
  listCredits(payer: string, job?: JobId, round?: number): Promise<CreditMessage[]>;
  projectEpoch(view: EpochView): Promise<boolean>;
  /** Ascending by epoch. */
  listEpochs(payer: string): Promise<EpochView[]>;
}

export function rewardTable(items: Items): RewardTable {
  return {
    async credit(message) {
      const { created, existing } = await items.create({ ...creditKey(message), view: encodeView(message) });
      if (created || !existing) return 'credited';
      const before = decodeView(creditMessage, existing);
      const same =
        before.amount === message.amount &&
        before.units === message.units &&
        before.manifestHash === message.manifestHash;
      if (same) return 'repeated';
      throw new RoundtableError(
        'CONFLICT',
        `Runner ${message.runner} was credited ${before.amount} for round ${message.round} of job ${message.job} ` +
          `(manifest ${before.manifestHash}), and now ${message.amount} (manifest ${message.manifestHash}). ` +
          'The first stands; find out where the second came from.',
        { details: { before: before.amount, now: message.amount } },
      );
    },

    async listCredits(payer, job, round) {
      const ofRound = round === undefined ? '' : `${ordinal(round)}#`;
      const rows = await items.query(creditPartition(payer), job === undefined ? '' : `${job}#${ofRound}`);
      return rows.map((item) => decodeView(creditMessage, item));
    },

    projectEpoch: (view) =>
      items.project({
        ...epochKey(view),
        seq: view.seq,
        view: encodeView(view),
      }),

    async listEpochs(payer) {
      return (await items.query(epochPartition(payer))).map((item) => decodeView(epochView, item));
    },
  };
}

export const creditKey = ({ payer, job, round, runner }: CreditMessage) => ({
  pk: creditPartition(payer),
  sk: `${job}#${ordinal(round)}#${runner}`,
});
export const epochKey = ({ payer, epoch }: Pick<EpochView, 'payer' | 'epoch'>) => ({
  pk: epochPartition(payer),
  sk: ordinal(epoch),
});
const creditPartition = (payer: string): string => `credits#${payer}`;
const epochPartition = (payer: string): string => `epochs#${payer}`;
