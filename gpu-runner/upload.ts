import http from 'node:http';
import https from 'node:https';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import {
  signedParts,
  uploadAnswer,
  uploadPartBytes,
  type UploadAnswer,
  type UploadRequest,
} from '#core/transferMessages.js';
import { oneLine } from '#core/printable.js';
import { checkOutboundUrl, connectionRules, type OutboundRules } from '#services/outboundUrl.js';
import { sha256Hex } from '#services/sha256.js';
import type { Throttle } from './bandwidth.js';
import { unreachable } from './failures.js';

/** A signed POST to a stack's API. @throws UNAVAILABLE, and what the API answers */
export type Ask = <T extends z.ZodType>(
  path: string,
  body: unknown,
  answer: T,
  signal: AbortSignal,
) => Promise<z.output<T>>;

export interface UploadOptions {
  signal: AbortSignal;
  throttle?: Throttle;
  /** Remembers the upload that was begun, so that the next process goes on with it. */
  memo?: UploadMemo;
  /** Where the stack may send us. */
  rules: OutboundRules;
  /** Bytes that have arrived. */
  onProgress?: (sent: number) => void;
}

export interface UploadMemo {
  read(): Promise<string | null>;
  write(upload: string): Promise<void>;
}

/** Failures in a row, without one part more having arrived, after which it is given up. */
const ATTEMPTS = 6;
/** A request on whose connection nothing moves for so long is broken off and made again. */
const STILL_MS = 20_000;
/** Parts whose URLs are asked for at once. */
const PARTS_AT_ONCE = 8;
const SLICE = 65_536;

/**
 * Stores bytes at a stack: in one piece, or in parts of which only those are sent that have not arrived, whoever
 * sent the others before. Harmless when they are stored already.
 * @throws UNAVAILABLE when nothing more arrives; the signal's reason when aborted
 */
export async function upload(
  ask: Ask,
  bytes: Uint8Array,
  request: UploadRequest,
  options: UploadOptions,
): Promise<void> {
  // Of one process alone where nobody remembers for the next one.
  let begun: string | null = null;
  const memo: UploadMemo = options.memo ?? {
    read: () => Promise.resolve(begun),
    write: (id) => Promise.resolve(void (begun = id)),
  };
  const progress = { parts: 0 };
  for (let attempt = 1; ; attempt++) {
    const before = progress.parts;
    try {
      await uploadOnce(ask, bytes, request, { ...options, memo }, progress);
      options.onProgress?.(bytes.length);
      return;
    } catch (error) {
      // NOT_FOUND: the store has given up the upload; it is begun anew.
      const passes = isRoundtableError(error, 'UNAVAILABLE') || isRoundtableError(error, 'NOT_FOUND');
      if (!passes) throw error;
      if (progress.parts > before) attempt = 0;
      else if (attempt >= ATTEMPTS) throw error;
      await delay(100 * 2 ** attempt, undefined, { signal: options.signal });
    }
  }
}

/** @param progress counts the parts that were sent, also by an attempt that fails */
async function uploadOnce(
  ask: Ask,
  bytes: Uint8Array,
  request: UploadRequest,
  options: UploadOptions & { memo: UploadMemo },
  progress: { parts: number },
): Promise<void> {
  const { signal, memo, onProgress } = options;
  const begun = await memo.read();
  const answer = await ask(
    '/v1/uploads',
    begun === null ? request : { ...request, upload: begun },
    uploadAnswer,
    signal,
  );
  if (answer.url !== null) return put(answer.url, answer.headers, bytes, options);
  if (!answer.upload) return;
  const { id } = answer.upload;
  if (id !== begun) await memo.write(id);

  const missing = missingParts(bytes, answer.upload);
  let arrived = bytes.length - missing.reduce((sum, part) => sum + part.bytes.length, 0);
  onProgress?.(arrived);
  for (let from = 0; from < missing.length; from += PARTS_AT_ONCE) {
    const batch = missing.slice(from, from + PARTS_AT_ONCE);
    const parts = batch.map(({ number, sha256 }) => ({ number, sha256 }));
    const signed = await ask('/v1/uploads/parts', { ...request, upload: id, parts }, signedParts, signal);
    for (const { number, url, headers } of signed.parts) {
      const part = batch.find((candidate) => candidate.number === number);
      if (!part) throw new RoundtableError('UNAVAILABLE', `The stack answered for part ${number}, unasked.`);
      await put(url, headers, part.bytes, options);
      progress.parts++;
      arrived += part.bytes.length;
      onProgress?.(arrived);
    }
  }
  await ask('/v1/uploads/complete', { ...request, upload: id }, z.null(), signal);
}

function missingParts(bytes: Uint8Array, { parts }: NonNullable<UploadAnswer['upload']>) {
  const there = new Map(parts.map(({ number, sha256 }) => [number, sha256]));
  const all = Array.from({ length: Math.ceil(bytes.length / uploadPartBytes) }, (_, index) => {
    const part = bytes.subarray(index * uploadPartBytes, (index + 1) * uploadPartBytes);
    return { number: index + 1, bytes: part, sha256: sha256Hex(part) };
  });
  return all.filter(({ number, sha256 }) => there.get(number) !== sha256);
}

/** Sends the bytes as they lie in memory; fetch would copy them twice. @throws UNAVAILABLE */
async function put(
  given: string,
  headers: Record<string, string>,
  bytes: Uint8Array,
  { signal, throttle, rules }: UploadOptions,
): Promise<void> {
  const url = checkOutboundUrl(given, rules);
  const { request } = url.protocol === 'https:' ? https : http;
  let stored: { status: number; text: string };
  try {
    const sending = request(url, {
      method: 'PUT',
      headers,
      signal,
      timeout: STILL_MS,
      ...connectionRules(url, rules),
    });
    sending.once('timeout', () => sending.destroy(new Error('nothing moved for a while')));
    const answer = new Promise<http.IncomingMessage>((resolve, reject) =>
      sending.once('response', resolve).once('error', reject),
    );
    answer.catch(() => undefined);
    await send(sending, bytes, throttle, signal);
    const response = await answer;
    stored = { status: response.statusCode ?? 0, text: await readText(response) };
  } catch (error) {
    throw isRoundtableError(error) ? error : unreachable(given, error, signal);
  }
  if (stored.status < 200 || stored.status > 299)
    throw new RoundtableError(
      'UNAVAILABLE',
      `The store refused an upload with ${stored.status}: ${oneLine(stored.text, 300)}`,
    );
}

async function send(
  sending: http.ClientRequest,
  bytes: Uint8Array,
  throttle: Throttle | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (!throttle || throttle.rate === null) {
    sending.end(bytes);
    return;
  }
  for (let at = 0; at < bytes.length && !sending.destroyed && !sending.writableEnded; at += SLICE) {
    const slice = bytes.subarray(at, at + SLICE);
    await throttle.take(slice.length, signal);
    sending.write(slice);
  }
  sending.end();
}
