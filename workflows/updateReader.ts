import type { Hex } from '#core/hex.js';
import type { UpdateName, Updates } from '#services/updates.js';
import { openUpdate } from '#services/updateSealing.js';
import type { ByteCache } from './artifactCache.js';

/** The plain file of an update; `most` bounds the bytes of the sealed one. @throws as Updates.get and openUpdate */
export type ReadUpdate = (name: UpdateName, most: number) => Promise<Uint8Array>;

/** Opens updates with the member's key and keeps the last ones: each is read when it is admitted and when it is added. */
export function updateReader(
  updates: Pick<Updates, 'get'>,
  reader: { id: Hex; privateKey: Uint8Array },
  cache: ByteCache,
): ReadUpdate {
  return async (name, most) => {
    const key = `${name.job}/${name.round}/${name.runner}/${name.file}`;
    const kept = cache.get(key);
    if (kept) return kept;
    const plain = openUpdate(await updates.get(name, most), reader, name);
    cache.keep(key, plain);
    return plain;
  };
}
