import type { Hex } from '#core/hex.js';
import type { Artifacts } from '#services/artifacts.js';

/**
 * Keeps the artifacts read last in memory, up to `capacity` bytes: an update is read when it is admitted and
 * again when it is added. Contents never change under a hash, so nothing can be stale.
 */
export function cachedArtifacts(artifacts: Artifacts, capacity: number): Artifacts {
  const kept = new Map<Hex, Uint8Array>();
  let size = 0;
  const keep = (sha: Hex, bytes: Uint8Array) => {
    if (bytes.length > capacity / 4) return;
    if (kept.delete(sha)) size -= bytes.length;
    kept.set(sha, bytes);
    size += bytes.length;
    for (const [oldest, { length }] of kept) {
      if (size <= capacity) break;
      kept.delete(oldest);
      size -= length;
    }
  };
  return {
    ...artifacts,
    async put(data) {
      const sha = await artifacts.put(data);
      keep(sha, data);
      return sha;
    },
    async get(sha, most) {
      const bytes = kept.get(sha) ?? (await artifacts.get(sha, most));
      keep(sha, bytes);
      return bytes;
    },
  };
}
