import { createWriteStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Sha256Hex } from '#core/hex.js';
import type { OutboundRules } from '#services/outboundUrl.js';
import { sha256Hex } from '#services/sha256.js';
import { errorNumber } from './failures.js';
import { diskError } from './files.js';
import { reach, unreachable, type StackClient } from './stackClient.js';

/** More than any model of this protocol version has (2^31 int32 values and a header). */
const LARGEST_ARTIFACT = 9 * 1024 ** 3;
const ATTEMPTS = 6;
/** A transfer that brings nothing for so long is broken off and resumed. */
const STILL_SECONDS = 20;

export interface CachedModel {
  path: string;
  bytes: Uint8Array;
}

/** Graphs and parameter files by content hash. What is read from it always has the hash that was asked for. */
export class ModelCache {
  readonly #folder: string;
  readonly #stack: Pick<StackClient, 'locate' | 'rules'>;
  readonly #cap: number;
  /** Bytes of every file by its path, used longest ago first; read once, then kept. */
  #sizes: Map<string, number> | null = null;

  /** @param cap bytes that the cache may keep; what a task needs is kept beyond it while it runs */
  constructor(folder: string, stack: Pick<StackClient, 'locate' | 'rules'>, cap = 2 * 1024 ** 3) {
    this.#folder = folder;
    this.#stack = stack;
    this.#cap = cap;
  }

  /** @throws NOT_FOUND, UNAVAILABLE, ARTIFACT_CORRUPT, DISK_FULL */
  async get(sha256: Sha256Hex, signal: AbortSignal): Promise<CachedModel> {
    const path = join(this.#folder, sha256.slice(2));
    const cached = await readIfPresent(path);
    if (cached && sha256Hex(cached) === sha256) {
      await utimes(path, new Date(), new Date());
      this.#used(path, cached.length);
      return { path, bytes: cached };
    }
    const part = `${path}.part`;
    try {
      // A power cut may leave a damaged part behind: what turns out wrong is fetched once more from the start.
      const resumed = (await sizeOf(part)) > 0;
      const bytes =
        (await this.#fetch(sha256, part, signal)) ??
        (resumed ? await this.#fetch(sha256, part, signal) : null);
      if (!bytes)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `The bytes that came for ${sha256} have another hash; they were thrown away.`,
        );
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

  /** The bytes, now also in `part`; null, and nothing kept, when they are the wrong ones. */
  async #fetch(sha256: Sha256Hex, part: string, signal: AbortSignal): Promise<Uint8Array | null> {
    await this.#download(sha256, part, signal);
    const bytes = await readFile(part);
    if (sha256Hex(bytes) === sha256) return bytes;
    await rm(part, { force: true });
    return null;
  }

  /** Fills `part` to its end, going on where an earlier attempt, of this process or a killed one, broke off. */
  async #download(sha256: Sha256Hex, part: string, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const before = await sizeOf(part);
      try {
        const { rules } = this.#stack;
        await transfer(await this.#stack.locate(sha256, signal), rules, part, before, signal);
        return;
      } catch (error) {
        if (!isRoundtableError(error, 'UNAVAILABLE')) throw error;
        if ((await sizeOf(part)) > before) attempt = 0;
        else if (attempt >= ATTEMPTS) throw error;
        await delay(100 * 2 ** attempt, undefined, { signal });
      }
    }
  }
}

async function transfer(
  url: string,
  rules: OutboundRules,
  part: string,
  from: number,
  outer: AbortSignal,
): Promise<void> {
  const still = new AbortController();
  const timer = setTimeout(
    () => still.abort(new DOMException('no bytes came for a while', 'TimeoutError')),
    STILL_SECONDS * 1_000,
  );
  const signal = AbortSignal.any([outer, still.signal]);
  try {
    const headers = from > 0 ? { range: `bytes=${from}-` } : {};
    const response = await reach(url, { signal, headers }, rules);
    const start = startOf(response, from);
    if (start === null || !response.body) {
      await response.body?.cancel();
      if (response.status === 416) return;
      throw new RoundtableError('UNAVAILABLE', `The store answered ${response.status} to a download.`);
    }
    await writeFrom(response.body, part, start, (total) => {
      timer.refresh();
      if (total > LARGEST_ARTIFACT)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `A download went past ${LARGEST_ARTIFACT} bytes, more than a model has.`,
        );
    });
    const expected = Number(response.headers.get('content-length') ?? NaN);
    const got = (await sizeOf(part)) - start;
    if (Number.isFinite(expected) && got !== expected)
      throw new RoundtableError('UNAVAILABLE', `A download broke off after ${got} of ${expected} bytes.`);
  } catch (error) {
    throw error instanceof RoundtableError || errorNumber(error)?.startsWith('E')
      ? error
      : unreachable(url, error, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Offset at which the body begins; null when this is not the file. */
function startOf(response: Response, asked: number): number | null {
  if (response.status === 200) return 0;
  if (response.status !== 206) return null;
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]) === asked
    ? asked
    : null;
}

async function writeFrom(
  body: NonNullable<Response['body']>,
  path: string,
  start: number,
  arrived: (total: number) => void,
): Promise<void> {
  const file = createWriteStream(path, start === 0 ? { flags: 'w' } : { flags: 'r+', start });
  const failed = new Promise<never>((_, reject) => file.once('error', reject));
  failed.catch(() => undefined);
  let total = start;
  try {
    for await (const chunk of body) {
      total += chunk.length;
      arrived(total);
      if (!file.write(chunk))
        await Promise.race([failed, new Promise<void>((resolve) => file.once('drain', () => resolve()))]);
    }
  } finally {
    // What arrived before a break is kept: the next attempt goes on behind it.
    await Promise.race([failed, new Promise<void>((resolve) => file.end(resolve))]);
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

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errorNumber(error) === 'ENOENT') return 0;
    throw error;
  }
}
