import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { z } from 'zod';
import type { Deployment } from '#contracts/deployment.js';

/** Shown as links: nothing that a browser would run. */
const webUrl = z.url({ protocol: /^https?$/ });

/** What the page may know of where chain and archive are. Addresses with secrets in them do not belong here. */
export const pageSettings = z.strictObject({
  rpcUrls: z.array(webUrl).default([]),
  gateways: z.array(webUrl).default([]),
  temporalUi: webUrl.nullable().default(null),
});
export type PageSettings = z.output<typeof pageSettings>;

/** `config.json`, which the page reads at its start; web/state/config.ts has the other end. */
export interface PageConfig extends PageSettings {
  /** Where the API is, relative to the page or absolute. */
  api: string;
  /** The page is a runner's own, which says more of it than the stack knows. */
  mine?: true;
  /** The member whose stack this is, and so the payer of its rewards. */
  stack: `0x${string}`;
  deployment: Deployment;
}

/**
 * Only what was built is run, from this origin. Connections go wherever the visitor's own node is; loopback is
 * named for stacks on one machine. `wasm-unsafe-eval` admits WebAssembly alone, which hashes trees four at a time.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self' https: http://127.0.0.1:* http://localhost:*",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The built page. Files are read once, so that no request ever names a path on this machine. */
export function pageApp(folder: string, config: PageConfig): Hono {
  const app = new Hono();
  app.get('/config.json', (context) => context.json(config, 200, { 'cache-control': 'no-cache' }));
  for (const name of readdirSync(folder)) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const file = readFile(join(folder, name));
    const headers = {
      'content-type': type,
      etag: file.tag,
      // A name with a hash in it never means anything else.
      'cache-control': /-[A-Z0-9]{8}\./.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
      'content-security-policy': contentSecurityPolicy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      vary: 'accept-encoding',
    };
    app.on('GET', name === 'index.html' ? ['/', '/index.html'] : [`/${name}`], (context) => {
      if (context.req.header('if-none-match') === file.tag) return context.body(null, 304, headers);
      return /\bgzip\b/.test(context.req.header('accept-encoding') ?? '')
        ? context.body(file.gzipped, 200, { ...headers, 'content-encoding': 'gzip' })
        : context.body(file.plain, 200, headers);
    });
  }
  return app;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

function readFile(path: string): {
  plain: Uint8Array<ArrayBuffer>;
  gzipped: Uint8Array<ArrayBuffer>;
  tag: string;
} {
  const plain = new Uint8Array(readFileSync(path));
  const tag = `"${createHash('sha256').update(plain).digest('hex').slice(0, 32)}"`;
  return { plain, gzipped: new Uint8Array(gzipSync(plain, { level: 9 })), tag };
}
