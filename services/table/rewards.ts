import { setTimeout as delay } from 'node:timers/promises';
import { RoundtableError } from '#core/errors.js';
import type { Hex, JobId } from '#core/hex.js';
import { creditMessage, type CreditMessage } from '#core/messages.js';
import { earningView, epochView, type EarningView, type EpochView } from '#core/views.js';
import { attempt, ordinal, type Item, type Items, type Key } from './items.js';
import { decodeView, encodeView } from './views.js';

/** Credits (an index that settlement checks against the manifests) and the epochs that paid them. */
export interface RewardTable {
  /** Once for each job, round and runner. @throws CONFLICT when the same share was credited differently before */
  credit(message: CreditMessage): Promise<'credited' | 'repeated'>;
  /** Ascending by job, round and runner; of one job, or one of its rounds, if given. */
  listCredits(payer: string, job?: JobId, round?: number): Promise<CreditMessage[]>;
  /** What each runner was credited in all, ascending by runner: kept as credits are written, for there may be millions. */
  listEarnings(payer: string): Promise<EarningView[]>;
  projectEpoch(view: EpochView): Promise<boolean>;
  /** Ascending by epoch. */
  listEpochs(payer: string): Promise<EpochView[]>;
}

export function rewardTable(items: Items): RewardTable {
  return {
    async credit(message) {
      for (let tries = 0; tries < mostTries; tries++) {
        const existing = await items.get(creditKey(message));
        if (existing) return repeated(decodeView(creditMessage, existing), message);
        if (await writeCredit(items, message, null)) return 'credited';
        await delay(Math.random() * 20);
      }
      throw new RoundtableError(
        'UNAVAILABLE',
        `The sums of runner ${message.runner} are too busy. Try again.`,
      );
    },

    async listCredits(payer, job, round) {
      const ofRound = round === undefined ? '' : `${ordinal(round)}#`;
      const rows = await items.query(creditPartition(payer), job === undefined ? '' : `${job}#${ofRound}`);
      return rows.map((item) => decodeView(creditMessage, item));
    },

    async listEarnings(payer) {
      return (await items.query(earningPartition(payer))).map((item) => decodeView(earningView, item));
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

/** Others that write the same runner's sum at the same moment make one try again. */
const mostTries = 50;

/**
 * A share and its runner's sum in one write, in the place of `existing` if there is one.
 * @returns false when somebody else wrote either in the meantime
 */
export async function writeCredit(
  items: Items,
  message: CreditMessage,
  existing: Item | null,
): Promise<boolean> {
  const { payer, runner, amount } = message;
  const key = earningKey(message);
  const row = await items.get(key);
  const sum = row ? decodeView(earningView, row) : { payer, runner, amount: '0', credits: 0 };
  const before = existing ? decodeView(creditMessage, existing).amount : '0';
  const view: EarningView = {
    ...sum,
    amount: String(BigInt(sum.amount) + BigInt(amount) - BigInt(before)),
    credits: sum.credits + (existing ? 0 : 1),
  };
  return attempt(items, [
    putInPlaceOf(items, existing, { ...creditKey(message), view: encodeView(message) }),
    putInPlaceOf(items, row, { ...key, view: encodeView(view) }),
  ]);
}

/** Makes the sums of a payer's runners what its credits say, whoever credits in the meantime. */
export async function recount(items: Items, payer: string): Promise<void> {
  // The sums are read first: whoever writes a credit after that changes one of them too, and is noticed.
  const rows = new Map((await items.query(earningPartition(payer))).map((row) => [row.sk, row]));
  const sums = new Map<string, EarningView>();
  for (const item of await items.query(creditPartition(payer))) {
    const { runner, amount } = decodeView(creditMessage, item);
    const sum = sums.get(runner) ?? { payer: payer as Hex, runner, amount: '0', credits: 0 };
    const together = String(BigInt(sum.amount) + BigInt(amount));
    sums.set(runner, { ...sum, amount: together, credits: sum.credits + 1 });
  }
  for (const sum of sums.values()) {
    const row = rows.get(sum.runner) ?? null;
    const view = encodeView(sum);
    if (row?.['view'] === view) continue;
    if (!(await attempt(items, [putInPlaceOf(items, row, { ...earningKey(sum), view })])))
      return recount(items, payer);
  }
}

/** Only while the row is still what was read. */
function putInPlaceOf({ table }: Items, before: Item | null, row: Key & { view: string }) {
  return before
    ? {
        Put: {
          TableName: table,
          Item: row,
          ConditionExpression: '#view = :before',
          ExpressionAttributeNames: { '#view': 'view' },
          ExpressionAttributeValues: { ':before': before['view'] },
        },
      }
    : { Put: { TableName: table, Item: row, ConditionExpression: 'attribute_not_exists(pk)' } };
}

function repeated(before: CreditMessage, message: CreditMessage): 'repeated' {
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
}

export const creditKey = ({ payer, job, round, runner }: CreditMessage) => ({
  pk: creditPartition(payer),
  sk: `${job}#${ordinal(round)}#${runner}`,
});
export const epochKey = ({ payer, epoch }: Pick<EpochView, 'payer' | 'epoch'>) => ({
  pk: epochPartition(payer),
  sk: ordinal(epoch),
});
const earningKey = ({ payer, runner }: Pick<EarningView, 'payer' | 'runner'>) => ({
  pk: earningPartition(payer),
  sk: runner,
});
const earningPartition = (payer: string): string => `earnings#${payer}`;
const creditPartition = (payer: string): string => `credits#${payer}`;
const epochPartition = (payer: string): string => `epochs#${payer}`;
