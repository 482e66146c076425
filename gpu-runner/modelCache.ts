import { readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sha256Hex } from '#core/hex.js';
import { sha256Hex } from '#services/sha256.js';
import { download, type DownloadOptions } from './download.js';
import { errorNumber } from './failures.js';
import { diskError } from './files.js';
import type { StackClient } from './stackClient.js';

export interface CachedModel {
  path: string;
  bytes: Uint8Array;
}

/** Graphs and parameter files by content hash. What is read from it always has the hash that was asked for. */
export class ModelCache {
  readonly #folder: string;
  readonly #stack: Pick<StackClient, 'locate' | 'rules'>;
  readonly #cap: number;
  readonly #throttle: DownloadOptions['throttle'];
  /** Bytes of every file by its path, used longest ago first; read once, then kept. */
  #sizes: Map<string, number> | null = null;

  /** @param options cap: bytes that the cache may keep; what a task needs is kept beyond it while it runs */
  constructor(
    folder: string,
    stack: Pick<StackClient, 'locate' | 'rules'>,
    options: { cap?: number } & Pick<DownloadOptions, 'throttle'> = {},
  ) {
    this.#folder = folder;
    this.#stack = stack;
    this.#cap = options.cap ?? 2 * 1024 ** 3;
    this.#throttle = options.throttle;
  }

  /** @throws NOT_FOUND, UNAVAILABLE, ARTIFACT_CORRUPT, DISK_FULL */
  async get(
    sha256: Sha256Hex,
    signal: AbortSignal,
    onProgress: (received: number) => void = () => undefined,
  ): Promise<CachedModel> {
    const path = join(this.#folder, sha256.slice(2));
    const cached = await readIfPresent(path);
    if (cached && sha256Hex(cached) === sha256) {
      await utimes(path, new Date(), new Date());
      this.#used(path, cached.length);
      return { path, bytes: cached };
    }
    const part = `${path}.part`;
    try {
      const locate = (until: AbortSignal) => this.#stack.locate(sha256, until);
      const throttle = this.#throttle;
      const bytes = await download(sha256, part, locate, {
        signal,
        rules: this.#stack.rules,
        onProgress,
        ...(throttle ? { throttle } : {}),
      });
      await rename(part, path);
      this.#used(path, bytes.length);
      return { path, bytes };
    } catch (error) {
      throw diskError(error, part);
    }
  }

  /** Removes what was not used for longest until the cap is kept. */
  async trim(): Promise<void> {
    this.#sizes ??= await this.#findSizes();
    let kept = 0;
    for (const size of this.#sizes.values()) kept += size;
    for (const [path, size] of this.#sizes) {
      if (kept <= this.#cap) break;
      await rm(path, { force: true });
      this.#sizes.delete(path);
      kept -= size;
    }
  }

  #used(path: string, size: number): void {
    this.#sizes?.delete(path);
    this.#sizes?.set(path, size);
  }

  async #findSizes(): Promise<Map<string, number>> {
    const files = await Promise.all(
      (await readdir(this.#folder)).map(async (name) => {
        const path = join(this.#folder, name);
        const { size, mtimeMs } = await stat(path);
        return { path, size, mtimeMs };
      }),
    );
    files.sort((a, b) => a.mtimeMs - b.mtimeMs);
    return new Map(files.map(({ path, size }) => [path, size]));
  }
}

async function readIfPresent(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') return null;
    throw error;
  }
}
