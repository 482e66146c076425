import type { Items } from './items.js';
import { expiryAttribute } from './definition.js';

/** What may be used one single time, such as the signature of a command. */
export interface OnceOnly {
  /** True the first time for this id. It is forgotten some time after `until` (seconds since 1970). */
  useOnce(id: string, until: number): Promise<boolean>;
}

export function onceOnly(items: Items): OnceOnly {
  return {
    async useOnce(id, until) {
      const { created } = await items.create({ pk: `once#${id}`, sk: 'once', [expiryAttribute]: until });
      return created;
    },
  };
}
