import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import type { Sha256Hex } from '#core/hex.js';
import { sha256Hex } from '#services/sha256.js';

export interface BuiltPage {
  files: { name: string; hash: Sha256Hex }[];
  /** SHA-256 over "HASH NAME" and a line feed for each file in order of its name: what members compare. */
  hash: Sha256Hex;
}

/** The page is the same bytes for the same sources. @throws NOT_FOUND when it was not built */
export function readBuiltPage(folder: string): BuiltPage {
  if (!existsSync(folder))
    throw new RoundtableError('NOT_FOUND', `There is no page in ${folder}. Run \`npm run build\`.`);
  const files = readdirSync(folder)
    .sort()
    .map((name) => ({ name, hash: sha256Hex(readFileSync(join(folder, name))) }));
  return { files, hash: sha256Hex(Buffer.from(files.map(({ name, hash }) => `${hash} ${name}\n`).join(''))) };
}

/** Name of the first file that a server has otherwise; null when it serves just this page. */
export async function differsAt(url: string, { files }: BuiltPage): Promise<string | null> {
  for (const { name, hash } of files) {
    const response = await fetch(`${url}/${name}`);
    if (!response.ok || sha256Hex(new Uint8Array(await response.arrayBuffer())) !== hash) return name;
  }
  return null;
}
