import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { hash32 } from '#core/schema.js';
import type { Intent, IntentStore } from '../chainSender.js';
import type { Item, Items } from './items.js';

/** Signed transactions, stored before they are sent; never expired, since a reorganisation may need them again. */
export function intentTable(items: Items): IntentStore {
  return {
    async get(id) {
      const item = await items.get(intentKey(id));
      return item && decodeIntent(item);
    },

    async put(id, intent, replaces) {
      const { updated, existing } = await items.update(intentKey(id), {
        expression: 'SET #raw = :raw, #hash = :hash, #nonce = :nonce REMOVE #mined',
        condition: replaces === null ? 'attribute_not_exists(pk)' : '#hash = :replaces',
        values: {
          ':raw': intent.raw,
          ':hash': intent.hash,
          ':nonce': intent.nonce,
          ...(replaces === null ? {} : { ':replaces': replaces }),
        },
      });
      if (updated) return { ...intent, mined: null };
      if (existing) return decodeIntent(existing);
      throw new RoundtableError('CONFLICT', `Intent ${id} is not there; ${replaces} cannot be replaced.`);
    },

    async markMined(id, hash, mined) {
      await items.update(intentKey(id), {
        expression: 'SET #mined = :mined',
        condition: '#hash = :hash',
        values: { ':hash': hash, ':mined': { block: mined.block, gasUsed: String(mined.gasUsed) } },
      });
    },
  };
}

const intentKey = (id: string) => ({ pk: `intent#${id}`, sk: 'intent' });

const storedIntent = z.object({
  raw: z
    .string()
    .regex(/^0x[0-9a-f]+$/)
    .transform((value) => value as `0x${string}`),
  hash: hash32,
  nonce: z.number().int().min(0),
  mined: z
    .object({ block: z.number().int().min(0), gasUsed: z.string().transform((value) => BigInt(value)) })
    .nullable()
    .default(null),
});

function decodeIntent(item: Item): Intent {
  return storedIntent.parse(item);
}
