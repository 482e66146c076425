import { RoundtableError } from '#core/errors.js';

/** Bytes that a request's body may have, here and at webhooks. */
export const bodyLimit = 1024 * 1024;

/**
 * The raw body. It is counted while it is read: a content-length is only what the sender claims.
 * @throws PAYLOAD_TOO_LARGE
 */
export async function readBody(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > bodyLimit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > bodyLimit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** @throws INVALID_INPUT unless the bytes are UTF-8 and JSON */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RoundtableError('INVALID_INPUT', `${what} is not JSON in UTF-8.`, { cause });
  }
}

function tooLarge(): RoundtableError {
  return new RoundtableError('PAYLOAD_TOO_LARGE', `The body is larger than ${bodyLimit} bytes (1 MiB).`);
}
