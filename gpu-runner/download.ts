import { createWriteStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import type { Sha256Hex } from '#core/hex.js';
import type { OutboundRules } from '#services/outboundUrl.js';
import { sha256Hex } from '#services/sha256.js';
import type { Throttle } from './bandwidth.js';
import { errorNumber, unreachable } from './failures.js';
import { reach } from './stackClient.js';

export interface DownloadOptions {
  signal: AbortSignal;
  throttle?: Throttle;
  /** Where the stack may send us. */
  rules: OutboundRules;
  /** Bytes that have arrived. */
  onProgress?: (received: number) => void;
}

/** More than any model of this protocol version has (2^31 int32 values and a header). */
const LARGEST_ARTIFACT = 9 * 1024 ** 3;
const ATTEMPTS = 6;
/** A transfer that brings nothing for so long is broken off and resumed. */
const STILL_SECONDS = 20;

/**
 * Fills `part` with the bytes of a hash, going on where an earlier attempt, of this process or a killed one, broke
 * off. Wrong bytes are fetched once more from the start, as a power cut may have left some behind.
 * @param locate where the bytes can be read at present
 * @returns the bytes, now also in `part`
 * @throws ARTIFACT_CORRUPT, and nothing kept; UNAVAILABLE when nothing more comes; the signal's reason when aborted
 */
export async function download(
  sha256: Sha256Hex,
  part: string,
  locate: (signal: AbortSignal) => Promise<string>,
  options: DownloadOptions,
): Promise<Uint8Array> {
  for (const again of [true, false]) {
    const resumed = (await sizeOf(part)) > 0;
    await fill(part, locate, options);
    const bytes = await readFile(part);
    if (sha256Hex(bytes) === sha256) return bytes;
    await rm(part, { force: true });
    // What came in one go from the start will not be better the next time.
    if (!again || !resumed) break;
  }
  throw new RoundtableError(
    'ARTIFACT_CORRUPT',
    `The bytes that came for ${sha256} have another hash; they were thrown away.`,
  );
}

async function fill(
  part: string,
  locate: (signal: AbortSignal) => Promise<string>,
  options: DownloadOptions,
): Promise<void> {
  let tag: string | null = null;
  for (let attempt = 1; ; attempt++) {
    const before = await sizeOf(part);
    try {
      await transfer(
        await locate(options.signal),
        part,
        { from: before, tag },
        options,
        (seen) => (tag = seen),
      );
      return;
    } catch (error) {
      if (isRoundtableError(error, 'CONFLICT')) {
        // The object behind the address is another one than before.
        await rm(part, { force: true });
        tag = null;
      } else if (!isRoundtableError(error, 'UNAVAILABLE')) throw error;
      if ((await sizeOf(part)) > before) attempt = 0;
      else if (attempt >= ATTEMPTS) throw error;
      await delay(100 * 2 ** attempt, undefined, { signal: options.signal });
    }
  }
}

async function transfer(
  url: string,
  part: string,
  { from, tag }: { from: number; tag: string | null },
  { signal: outer, throttle, rules, onProgress }: DownloadOptions,
  onTag: (tag: string | null) => void,
): Promise<void> {
  const still = new AbortController();
  const timer = setTimeout(
    () => still.abort(new DOMException('no bytes came for a while', 'TimeoutError')),
    STILL_SECONDS * 1_000,
  );
  const signal = AbortSignal.any([outer, still.signal]);
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  if (from > 0 && tag !== null) headers['if-match'] = tag;
  try {
    const response = await reach(url, { signal, headers }, rules);
    const start = startOf(response, from);
    if (start === null || !response.body) {
      await response.body?.cancel();
      if (response.status === 416) return;
      if (response.status === 412) throw new RoundtableError('CONFLICT', 'The object was replaced.');
      throw new RoundtableError('UNAVAILABLE', `The store answered ${response.status} to a download.`);
    }
    onTag(response.headers.get('etag'));
    await writeFrom(response.body, part, start, async (length, total) => {
      if (total > LARGEST_ARTIFACT)
        throw new RoundtableError(
          'ARTIFACT_CORRUPT',
          `A download went past ${LARGEST_ARTIFACT} bytes, more than a model has.`,
        );
      await throttle?.take(length, signal);
      timer.refresh();
      onProgress?.(total);
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
  arrived: (length: number, total: number) => Promise<void>,
): Promise<void> {
  const file = createWriteStream(path, start === 0 ? { flags: 'w' } : { flags: 'r+', start });
  const failed = new Promise<never>((_, reject) => file.once('error', reject));
  failed.catch(() => undefined);
  let total = start;
  try {
    for await (const chunk of body) {
      total += chunk.length;
      await arrived(chunk.length, total);
      if (!file.write(chunk))
        await Promise.race([failed, new Promise<void>((resolve) => file.once('drain', () => resolve()))]);
    }
  } finally {
    // What arrived before a break is kept: the next attempt goes on behind it.
    await Promise.race([failed, new Promise<void>((resolve) => file.end(resolve))]);
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
