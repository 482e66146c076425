/**
 * A folder with all that an audit read: `chain.json` (audit/savedChain.ts), and for every archived file
 * `archive/ID` with its bytes and `archive/ID.json` with its signed Arweave header. Updates may lie in `updates/`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { savedChain, type SavedChain } from '#audit/index.js';
import { RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import type { Archive, SignedData } from '#services/archive.js';
import { isArchiveId } from '#services/archiveId.js';
import {
  decodeTags,
  isDataOf,
  isSignedTransaction,
  transactionHeader,
  type TransactionHeader,
} from '#services/archiveTransaction.js';

export type ReadArchive = Pick<Archive, 'get' | 'find'>;

/** @throws NOT_FOUND, FORMAT_INVALID, INVALID_INPUT */
export function readSavedChain(folder: string): SavedChain {
  const file = join(folder, 'chain.json');
  if (!existsSync(file))
    throw new RoundtableError(
      'NOT_FOUND',
      `${file} does not exist. \`roundtable model verify VERSION --save DIR\` makes such a folder.`,
    );
  return parseMessage(savedChain, readJson(file), file);
}

export function writeSavedChain(folder: string, chain: SavedChain): void {
  replace(join(folder, 'chain.json'), new TextEncoder().encode(`${JSON.stringify(chain, asText, 1)}\n`));
}

/** JSON has no 256-bit integers. */
const asText = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

/** Keeps what is read from an archive. */
export function savingArchive(archive: Archive, folder: string): ReadArchive {
  mkdirSync(join(folder, 'archive'), { recursive: true });
  return {
    async get(id) {
      const { header, data } = await archive.getSigned(id);
      replace(join(folder, 'archive', id), data);
      replace(join(folder, 'archive', `${id}.json`), new TextEncoder().encode(`${JSON.stringify(header)}\n`));
      return data;
    },
    find: (tags, options) => archive.find(tags, options),
  };
}

/** Reads such a folder; signatures and data roots are checked as if a gateway had given the bytes. */
export function savedArchive(folder: string): ReadArchive {
  const place = join(folder, 'archive');
  return {
    get: async (id) => (await readSigned(place, id)).data,
    async find(tags) {
      const names = existsSync(place) ? readdirSync(place).filter((name) => name.endsWith('.json')) : [];
      return names
        .map((name) => name.slice(0, -'.json'.length))
        .map((id) => ({ id, tags: tagsOf(readHeader(place, id)) }))
        .filter((record) => Object.entries(tags).every(([name, value]) => record.tags[name] === value));
    },
  };
}

async function readSigned(place: string, id: string): Promise<SignedData> {
  if (!isArchiveId(id) || !existsSync(join(place, id)) || !existsSync(join(place, `${id}.json`)))
    throw new RoundtableError(
      'ARCHIVE_UNREACHABLE',
      `${place} does not hold ${id.slice(0, 60)}. Save the version anew, or verify it with a gateway.`,
    );
  const header = readHeader(place, id);
  const data = new Uint8Array(readFileSync(join(place, id)));
  if (header.id !== id || !(await isSignedTransaction(header)))
    throw new RoundtableError(
      'ARCHIVE_CORRUPT',
      `${join(place, id)}.json is not the signed header of ${id}.`,
    );
  if (!(await isDataOf(header, data)))
    throw new RoundtableError(
      'ARCHIVE_CORRUPT',
      `${join(place, id)} does not meet the data root signed for ${id}.`,
    );
  return { header, data };
}

function readHeader(place: string, id: string): TransactionHeader {
  const file = join(place, `${id}.json`);
  const parsed = transactionHeader.safeParse(readJson(file));
  if (parsed.success) return parsed.data;
  throw new RoundtableError('FORMAT_INVALID', `${file} is not the header of an Arweave transaction.`);
}

function tagsOf(header: TransactionHeader): Record<string, string> {
  return Object.fromEntries(decodeTags(header).map(({ name, value }) => [name, value]));
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', `${file} is not JSON.`, { cause });
  }
}

/** In one step, so that a reader never sees half of it. */
function replace(file: string, bytes: Uint8Array): void {
  writeFileSync(`${file}.new`, bytes);
  renameSync(`${file}.new`, file);
}
