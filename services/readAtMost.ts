import { RoundtableError } from '#core/errors.js';

/**
 * The body of an answer, never more than `limit` bytes of it in memory.
 * @param what the sender, for the message
 * @throws PAYLOAD_TOO_LARGE
 */
export async function readAtMost(response: Response, limit: number, what: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > limit)
      throw new RoundtableError('PAYLOAD_TOO_LARGE', `${what} sent more than ${limit} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}
