import { extname } from 'node:path';

/** How the built page is served, by the node server of one machine and by the site in the cloud alike. */

/**
 * Only what was built is run, from this origin. Connections go wherever the visitor's own node is; loopback is
 * named for stacks on one machine. `wasm-unsafe-eval` admits WebAssembly alone, which hashes trees four at a time.
 */
const contentSecurityPolicy = [
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

export const pageHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const;

/** Undefined for what is no file of the page. */
export const contentType = (name: string): string | undefined => types[extname(name)];

/** A name with a hash in it never means anything else. */
export const cacheControl = (name: string): string =>
  /-[A-Z0-9]{8}\./.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
