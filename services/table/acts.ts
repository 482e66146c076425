import { setTimeout as delay } from 'node:timers/promises';
import { nextActRecord } from '#core/actLog.js';
import { actRecord, type ActEntry, type ActRecord } from '#core/acts.js';
import { RoundtableError } from '#core/errors.js';
import { sha256 } from '../sha256.js';
import { expiryAttribute } from './definition.js';
import { attempt, ordinal, type Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** The log of what members and runners did here: a chain of hashes that only grows. */
export interface ActTable {
  /**
   * Appends an entry. With a nonce, which is forgotten some time after `until` (seconds since 1970), the two are
   * written together or not at all: null when the nonce was used before.
   */
  recordAct(entry: ActEntry, nonce?: { id: string; until: number }): Promise<ActRecord | null>;
  /** Records with a number above `after`, ascending, at most `limit`. */
  listActs(after: number, limit: number): Promise<ActRecord[]>;
}

/** Others that append at the same moment make one try again; so many times in a row nobody loses. */
const mostTries = 50;

export function actTable(items: Items): ActTable {
  return {
    async recordAct(entry, nonce) {
      for (let attempt = 0; attempt < mostTries; attempt++) {
        const last = await items.last('acts');
        const record = nextActRecord(
          sha256,
          last && decodeView(actRecord, last),
          entry,
          new Date().toISOString(),
        );
        const row = { pk: 'acts', sk: ordinal(record.seq), view: encodeView(record) };
        const used = nonce && { ...onceKey(nonce.id), [expiryAttribute]: nonce.until };
        if (await createAll(items, [row, ...(used ? [used] : [])])) return record;
        if (nonce && (await items.get(onceKey(nonce.id)))) return null;
        await delay(Math.random() * 20);
      }
      throw new RoundtableError('UNAVAILABLE', 'The log of acts is too busy. Sign the act again.');
    },

    async listActs(after, limit) {
      return (await items.after('acts', ordinal(after), limit)).map((item) => decodeView(actRecord, item));
    },
  };
}

const createAll = (items: Items, rows: Record<string, unknown>[]): Promise<boolean> =>
  attempt(
    items,
    rows.map((Item) => ({
      Put: { TableName: items.table, Item, ConditionExpression: 'attribute_not_exists(pk)' },
    })),
  );

const onceKey = (id: string) => ({ pk: `once#${id}`, sk: 'once' });
