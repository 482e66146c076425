/** Documents of the archive, checked against the hashes that the chain leads to. */
import type { z } from 'zod';
import { hashJson } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import { largestManifest, manifestHash } from '#core/manifest.js';
import { parseMessage } from '#core/schema.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { AuditChain, AuditSources } from './sources.js';

interface DocumentName<T> {
  subject: string;
  schema: T;
  archiveId: string;
  hash: Hex;
}

/** @throws AuditStopped unless the archive has a document of this form and its hashed part has this hash */
export async function checkManifest<T extends z.ZodType<{ hashed: unknown }>>(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  document: DocumentName<T>,
): Promise<z.output<T>> {
  const how = "Arweave data root; SHA-256 against the chain's";
  return list.check(document.subject, 'manifest', how, async (say) => {
    say(document.archiveId);
    return readManifest(sources, document);
  });
}

/** @throws Wrong, INVALID_INPUT unless the archive has a document of this form and its hashed part has this hash */
export async function readManifest<T extends z.ZodType<{ hashed: unknown }>>(
  sources: Pick<AuditSources<AuditChain>, 'archive' | 'hash'>,
  { schema, archiveId, hash }: Omit<DocumentName<T>, 'subject'>,
): Promise<z.output<T>> {
  const bytes = await sources.archive.get(archiveId, largestManifest);
  const manifest = parseMessage(schema, parseJson(bytes, archiveId), `Manifest ${archiveId}`);
  same('its hash', manifestHash(sources.hash, manifest), hash);
  return manifest;
}

/** @throws Wrong unless two values are the same JSON */
export function sameJson(
  { hash }: Pick<AuditSources, 'hash'>,
  what: string,
  found: unknown,
  expected: unknown,
): void {
  if (hashJson(hash, found) !== hashJson(hash, expected))
    throw new Wrong(`${what} is not the one it should be: ${JSON.stringify(found).slice(0, 200)}`);
}

export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Wrong(`${what} is not JSON`);
  }
}
