import { expiryAttribute } from './definition.js';
import type { Items } from './items.js';

/** What is counted for all processes together: how much of something was used in a period. */
export interface Quotas {
  /**
   * Adds `amount` to what `id` has used, unless that were more than `most`; false then.
   * @param id names the period too: it is forgotten some time after `until` (seconds since 1970)
   */
  spend(id: string, amount: number, most: number, until: number): Promise<boolean>;
}

export function quotas(items: Items): Quotas {
  return {
    async spend(id, amount, most, until) {
      if (amount > most) return false;
      const { updated } = await items.update(
        { pk: `quota#${id}`, sk: 'quota' },
        {
          expression: `SET #${expiryAttribute} = :until ADD #used :amount`,
          condition: 'attribute_not_exists(#used) OR #used <= :room',
          values: { ':until': until, ':amount': amount, ':room': most - amount },
        },
      );
      return updated;
    },
  };
}
