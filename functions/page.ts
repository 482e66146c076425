import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { z } from 'zod';
import type { Deployment } from '#contracts/deployment.js';
import { cacheControl, contentType, pageHeaders } from '#services/pageFiles.js';

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

/** The built page. Files are read once, so that no request ever names a path on this machine. */
export function pageApp(folder: string, config: PageConfig): Hono {
  const app = new Hono();
  app.get('/config.json', (context) => context.json(config, 200, { 'cache-control': 'no-cache' }));
  for (const name of readdirSync(folder)) {
    const type = contentType(name);
    if (type === undefined) continue;
    const file = readFile(join(folder, name));
    const headers = {
      'content-type': type,
      etag: file.tag,
      'cache-control': cacheControl(name),
      ...pageHeaders,
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

function readFile(path: string): {
  plain: Uint8Array<ArrayBuffer>;
  gzipped: Uint8Array<ArrayBuffer>;
  tag: string;
} {
  const plain = new Uint8Array(readFileSync(path));
  const tag = `"${createHash('sha256').update(plain).digest('hex').slice(0, 32)}"`;
  return { plain, gzipped: new Uint8Array(gzipSync(plain, { level: 9 })), tag };
}
