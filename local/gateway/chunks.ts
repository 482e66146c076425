import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { validatePath } from 'arweave/node/lib/merkle.js';
import { z } from 'zod';
import { isCanonicalBase64url } from '#services/archiveTransaction.js';
import { sha256 } from '#services/sha256.js';
import type { Folder } from './folder.js';
import { Refusal } from './refusal.js';

/** What data is known by: the same bytes in two transactions are stored once. */
export interface DataName {
  /** base64url of 32 bytes. */
  root: string;
  size: number;
}

/** A chunk whose proof was checked: its bytes, where they stand in the data, and the way from the root to them. */
export interface Chunk {
  start: number;
  end: number;
  bytes: Uint8Array;
  path: Uint8Array;
}

/** Archived data in chunks on disk: one file each, named START-END, holding the bytes and after them the proof. */
export class ChunkStore {
  readonly #known = new Map<string, Held>();

  constructor(private readonly folder: Folder) {}

  async add(name: DataName, chunk: Chunk): Promise<void> {
    const held = this.#held(name);
    if (held.starts.has(chunk.start)) return;
    const path = this.#path(name);
    mkdirSync(path, { recursive: true });
    await this.folder.writeBytes(join(path, `${chunk.start}-${chunk.end}`), [chunk.bytes, chunk.path]);
    insert(held, { start: chunk.start, end: chunk.end });
  }

  /** Proofs that lead to one root never overlap, so the data is whole when the lengths add up. */
  isComplete(name: DataName): boolean {
    return this.#held(name).bytes === name.size;
  }

  /** The chunk that holds the byte at `position`, if it is there. */
  async find(name: DataName, position: number): Promise<Chunk | undefined> {
    const span = this.#held(name).spans.find(({ start, end }) => start <= position && position < end);
    if (!span) return undefined;
    return this.#open(name, span, async (file) => {
      const all = await file.readFile();
      const length = span.end - span.start;
      return { ...span, bytes: all.subarray(0, length), path: all.subarray(length) };
    });
  }

  /** The bytes from `from` up to `to` of data that is complete. */
  async *read(name: DataName, from: number, to: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const span of this.#held(name).spans) {
      if (span.end <= from || span.start >= to) continue;
      const start = Math.max(from, span.start);
      const wanted = Buffer.allocUnsafe(Math.min(to, span.end) - start);
      const { bytesRead } = await this.#open(name, span, (file) =>
        file.read(wanted, 0, wanted.length, start - span.start),
      );
      if (bytesRead !== wanted.length)
        throw new Error(`${this.#path(name)}/${span.start}-${span.end} is too short`);
      yield wanted;
    }
  }

  /** Listed from disk at first need. */
  #held(name: DataName): Held {
    const path = this.#path(name);
    let held = this.#known.get(path);
    if (!held) {
      held = { spans: [], starts: new Set(), bytes: 0 };
      for (const span of listSpans(path)) insert(held, span);
      this.#known.set(path, held);
    }
    return held;
  }

  async #open<T>(name: DataName, span: Span, use: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await open(join(this.#path(name), `${span.start}-${span.end}`));
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }

  #path(name: DataName): string {
    return join(this.folder.path, 'chunks', `${name.root}-${name.size}`);
  }
}

export interface PostedChunk {
  name: DataName;
  /** Of any byte of the chunk. */
  offset: number;
  bytes: Buffer;
  path: Buffer;
}

/** Reads the body of POST /chunk. @throws Refusal */
export function parseChunk(body: unknown): PostedChunk {
  const parsed = chunkSchema.safeParse(body);
  if (!parsed.success) throw new Refusal(400, { error: 'invalid_json' });
  const { data_root: root, data_size, offset, chunk, data_path } = parsed.data;
  const size = Number(data_size);
  if (!Number.isSafeInteger(size)) throw new Refusal(400, { error: 'data_size_too_big' });
  if (Number(offset) >= size) throw new Refusal(400, { error: 'offset_too_big' });
  const bytes = Buffer.from(chunk, 'base64url');
  const path = Buffer.from(data_path, 'base64url');
  if (bytes.length > MAX_CHUNK) throw new Refusal(400, { error: 'chunk_too_big' });
  if (path.length > MAX_PATH) throw new Refusal(400, { error: 'data_path_too_big' });
  return { name: { root, size }, offset: Number(offset), bytes, path };
}

/** @throws Refusal unless the path leads from the data root to exactly these bytes */
export async function checkChunk(posted: PostedChunk): Promise<Chunk> {
  const { name, bytes, path } = posted;
  const proven = await validatePath(Buffer.from(name.root, 'base64url'), posted.offset, 0, name.size, path);
  // validatePath follows the path; that its leaf is the hash of these bytes is for us to see.
  const leaf = path.subarray(path.length - 64, path.length - 32);
  if (!proven || proven.chunkSize <= 0 || proven.chunkSize !== bytes.length || !leaf.equals(sha256(bytes)))
    throw new Refusal(400, { error: 'invalid_proof' });
  return { start: proven.leftBound, end: proven.rightBound, bytes, path };
}

interface Span {
  start: number;
  end: number;
}

/** The chunks of some data that are there. */
interface Held {
  /** In order. */
  readonly spans: Span[];
  readonly starts: Set<number>;
  bytes: number;
}

const MAX_CHUNK = 256 * 1024;
const MAX_PATH = 256 * 1024;

const base64url = z.string().refine(isCanonicalBase64url);
const integer = z.union([
  z.string().regex(/^[0-9]{1,80}$/),
  z.number().int().nonnegative().transform(String),
]);
const chunkSchema = z.object({
  data_root: base64url.length(43),
  data_size: integer,
  offset: integer,
  chunk: base64url,
  data_path: base64url,
});

function listSpans(path: string): Span[] {
  if (!existsSync(path)) return [];
  return readdirSync(path).map((name) => {
    const [start = NaN, end = NaN] = name.split('-').map(Number);
    return { start, end };
  });
}

function insert(held: Held, span: Span): void {
  if (held.starts.has(span.start)) return; // the same chunk came twice at once
  let at = held.spans.length;
  while (at > 0 && (held.spans[at - 1]?.start ?? 0) > span.start) at--;
  held.spans.splice(at, 0, span);
  held.starts.add(span.start);
  held.bytes += span.end - span.start;
}
