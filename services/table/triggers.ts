import { z } from 'zod';
import { triggerView, type TriggerView } from '#core/views.js';
import type { Item, Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** Triggers; their secrets lie in items of their own, so that no list and no view ever reads one. */
export interface TriggerTable {
  /** False: the name is taken. */
  createTrigger(view: TriggerView, secrets: readonly string[]): Promise<boolean>;
  getTrigger(name: string): Promise<{ view: TriggerView; secrets: string[] } | null>;
  /** Ascending by name. */
  listTriggers(): Promise<TriggerView[]>;
  /** Replaces the secrets of a trigger read with that `seq`; false when somebody else was faster. */
  setTriggerSecrets(name: string, secrets: readonly string[], seq: number, at: string): Promise<boolean>;
}

export function triggerTable(items: Items): TriggerTable {
  return {
    createTrigger: (view, secrets) =>
      items.transact([
        {
          Put: {
            TableName: items.table,
            Item: {
              ...triggerKey(view.name),
              view: encodeView(view),
              seq: view.seq,
              updatedAt: view.updatedAt,
              secretCount: secrets.length,
            },
            ConditionExpression: 'attribute_not_exists(pk)',
          },
        },
        { Put: { TableName: items.table, Item: secretsItem(view.name, secrets) } },
      ]),

    async getTrigger(name) {
      const [row, secret] = await Promise.all([items.get(triggerKey(name)), items.get(secretsKey(name))]);
      if (!row || !secret) return null;
      return { view: decodeTrigger(row), secrets: z.array(z.string()).parse(secret['secrets']) };
    },

    async listTriggers() {
      return (await items.query('triggers')).map(decodeTrigger);
    },

    setTriggerSecrets: (name, secrets, seq, at) =>
      items.transact([
        {
          Update: {
            TableName: items.table,
            Key: triggerKey(name),
            UpdateExpression: 'SET #seq = :next, #updatedAt = :at, #secretCount = :count',
            ConditionExpression: '#seq = :seq',
            ExpressionAttributeNames: {
              '#seq': 'seq',
              '#updatedAt': 'updatedAt',
              '#secretCount': 'secretCount',
            },
            ExpressionAttributeValues: {
              ':seq': seq,
              ':next': seq + 1,
              ':at': at,
              ':count': secrets.length,
            },
          },
        },
        { Put: { TableName: items.table, Item: secretsItem(name, secrets) } },
      ]),
  };
}

const triggerKey = (name: string) => ({ pk: 'triggers', sk: name });
const secretsItem = (name: string, secrets: readonly string[]) => ({
  ...secretsKey(name),
  secrets: [...secrets],
});
const secretsKey = (name: string) => ({ pk: 'triggerSecrets', sk: name });

function decodeTrigger(item: Item): TriggerView {
  return decodeView(triggerView, item, {
    seq: item['seq'],
    updatedAt: item['updatedAt'],
    secrets: item['secretCount'],
  });
}
