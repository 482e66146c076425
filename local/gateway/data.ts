import type { Context } from 'hono';
import { Refusal } from './refusal.js';
import type { Accepted, Weave } from './weave.js';

/** Answers GET and HEAD of a transaction's data, whole or one range of it (RFC 9110, section 14). */
export function answerData(c: Context, weave: Weave, id: string): Response {
  const found = weave.get(id);
  // 404 also while chunks are missing: arweave-js takes the body of a 202 for the data.
  if (!found?.block) throw new Refusal(404, 'Not Found.');
  const size = Number(found.header.data_size);
  const etag = `"${id}"`;
  const headers: Record<string, string> = {
    'content-type': contentType(found),
    'accept-ranges': 'bytes',
    etag,
    'cache-control': 'public, max-age=31536000, immutable',
    // What is archived must not act in a browser with this gateway's origin.
    'x-content-type-options': 'nosniff',
    'content-security-policy': 'sandbox',
  };
  if (c.req.header('if-none-match') === etag) return c.body(null, 304, headers);
  const range = sameVersion(c.req.header('if-range'), etag)
    ? parseRange(c.req.header('range'), size)
    : undefined;
  if (range === 'unsatisfiable') return c.body(null, 416, { ...headers, 'content-range': `bytes */${size}` });
  const { from, to } = range ?? { from: 0, to: size };
  headers['content-length'] = String(to - from);
  if (range) headers['content-range'] = `bytes ${from}-${to - 1}/${size}`;
  const status = range ? 206 : 200;
  if (c.req.method === 'HEAD' || from === to) return c.body(null, status, headers);
  return c.body(stream(weave.read(found.header, from, to)), status, headers);
}

/** For `GET /tx/{id}/data`, which gives base64url in one piece. */
const MAX_DATA_FIELD = 12 * 1024 * 1024;

export async function dataField(weave: Weave, found: Accepted): Promise<string> {
  const size = Number(found.header.data_size);
  if (size > MAX_DATA_FIELD) throw new Refusal(400, { error: 'tx_data_too_big' });
  if (!found.block) throw new Refusal(404, 'Not Found.');
  const parts: Uint8Array[] = [];
  for await (const part of weave.read(found.header, 0, size)) parts.push(part);
  return Buffer.concat(parts).toString('base64url');
}

function contentType({ tags }: Accepted): string {
  const type = tags.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? '';
  return /^[\w.+-]+\/[\w.+-]+(?: *; *[\w-]+=[\w.+"-]+)*$/.test(type) ? type : 'application/octet-stream';
}

function sameVersion(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange === etag;
}

/** Undefined, so the whole, for anything but one range of bytes: what a server may do with ranges it does not serve. */
function parseRange(
  header: string | undefined,
  size: number,
): { from: number; to: number } | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header?.trim() ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '')
    return last === '0' || size === 0
      ? 'unsatisfiable'
      : { from: Math.max(0, size - Number(last)), to: size };
  const from = Number(first);
  if (last !== '' && Number(last) < from) return undefined;
  if (from >= size) return 'unsatisfiable';
  return { from, to: last === '' ? size : Math.min(size, Number(last) + 1) };
}

function stream(parts: AsyncGenerator<Uint8Array<ArrayBuffer>>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
