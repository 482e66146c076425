import type { JobId, Sha256Hex } from '#core/hex.js';
import { hash32 } from '#core/schema.js';
import { expiryAttribute } from './definition.js';
import { ordinal, type Items } from './items.js';

/** Which list of seals this stack's member signs for a round: one for each opening, whatever becomes of its worker. */
export interface SealTable {
  /** @returns the list that stands: the first that was kept for this opening. @param list its sealListHash */
  keepSealList(
    opening: { job: JobId; round: number; openHash: Sha256Hex },
    list: Sha256Hex,
  ): Promise<Sha256Hex>;
}

/** Longer than a round can go on (two weeks), with a worker that is away. */
const keptSeconds = 90 * 86_400;

export function sealTable(items: Items): SealTable {
  return {
    async keepSealList({ job, round, openHash }, list) {
      const { existing } = await items.create({
        pk: `seals#${job}#${ordinal(round)}`,
        sk: openHash,
        list,
        [expiryAttribute]: Math.floor(Date.now() / 1_000) + keptSeconds,
      });
      return existing ? hash32.parse(existing['list']) : list;
    },
  };
}
