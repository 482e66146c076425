import type { Artifacts } from '#services/artifacts.js';

/** Bytes read last, up to a capacity. What stands under a name never changes, so nothing can be stale. */
export class ByteCache {
  readonly #kept = new Map<string, Uint8Array>();
  readonly #capacity: number;
  #size = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(name: string): Uint8Array | undefined {
    const bytes = this.#kept.get(name);
    if (bytes) this.keep(name, bytes);
    return bytes;
  }

  keep(name: string, bytes: Uint8Array): void {
    if (bytes.length > this.#capacity / 4) return;
    if (this.#kept.delete(name)) this.#size -= bytes.length;
    this.#kept.set(name, bytes);
    this.#size += bytes.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#size <= this.#capacity) break;
      this.#kept.delete(oldest);
      this.#size -= length;
    }
  }
}

/** Keeps the artifacts read and written last in memory. */
export function cachedArtifacts(artifacts: Artifacts, cache: ByteCache): Artifacts {
  return {
    ...artifacts,
    async put(data) {
      const sha = await artifacts.put(data);
      cache.keep(sha, data);
      return sha;
    },
    async get(sha, most) {
      const kept = cache.get(sha);
      if (kept) return kept;
      const bytes = await artifacts.get(sha, most);
      cache.keep(sha, bytes);
      return bytes;
    },
  };
}
