import type { MiddlewareHandler } from 'hono';
import { sha256Hex } from '#services/sha256.js';

/**
 * Answers to GET carry an ETag, and one that the asker has already is a 304 without a body (RFC 9110, 8.8.3): a
 * page asks every second, and most seconds nothing has changed.
 */
export const entityTags: MiddlewareHandler = async (context, next) => {
  await next();
  if (context.req.method !== 'GET' || context.res.status !== 200) return;
  const body = new Uint8Array(await context.res.clone().arrayBuffer());
  const tag = `"${sha256Hex(body).slice(2, 34)}"`;
  const known = (context.req.header('if-none-match') ?? '').split(',').map((entry) => entry.trim());
  const headers = new Headers(context.res.headers);
  headers.set('etag', tag);
  headers.set('cache-control', 'no-cache');
  const same = known.some((entry) => entry === tag || entry === `W/${tag}` || entry === '*');
  if (same) headers.delete('content-type');
  context.res = undefined;
  context.res = new Response(same ? null : body, { status: same ? 304 : 200, headers });
};
