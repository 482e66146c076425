import { fromHex } from '#core/hex.js';
import { sha256Hex } from '#services/sha256.js';

/** What a history is archived in; `put` gives the id. */
export interface HistoryArchive {
  put(data: Uint8Array, tags?: Record<string, string>): string | Promise<string>;
  get(id: string): Promise<Uint8Array>;
}

/** One archive for each chain, as there is one Arweave. */
export function archiveOf(chain: object): MemoryArchive {
  const archive = archives.get(chain) ?? new MemoryArchive();
  archives.set(chain, archive);
  return archive;
}

/** Archived bytes by id; `corrupt` lets a test change them. */
export class MemoryArchive {
  readonly #files = new Map<string, { data: Uint8Array; tags: Record<string, string> }>();

  put(data: Uint8Array, tags: Record<string, string> = {}): string {
    const archived = Buffer.from(fromHex(sha256Hex(data))).toString('base64url');
    this.#files.set(archived, { data, tags });
    return archived;
  }

  get(archived: string): Promise<Uint8Array> {
    const file = this.#files.get(archived);
    return file
      ? Promise.resolve(file.data)
      : Promise.reject(new Error(`nothing is archived under ${archived}`));
  }

  find(tags: Record<string, string>) {
    const records = [...this.#files].filter(([, file]) =>
      Object.entries(tags).every(([key, value]) => file.tags[key] === value),
    );
    return Promise.resolve(
      records.map(([found, file]) => ({
        id: found,
        owner: '',
        size: file.data.length,
        tags: file.tags,
        block: null,
      })),
    );
  }

  corrupt(archived: string, change: (data: Uint8Array) => Uint8Array): void {
    const file = this.#files.get(archived);
    if (file) this.#files.set(archived, { ...file, data: change(file.data) });
  }
}

const archives = new WeakMap<object, MemoryArchive>();
