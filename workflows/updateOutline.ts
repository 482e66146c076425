import { createHash } from 'node:crypto';
import { RoundtableError } from '#core/errors.js';
import { INT32_LIMIT } from '#core/fixedPoint.js';
import { toHex, type Hex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import { leafCount, LEAF, VALUES_PER_LEAF } from '#core/merkle.js';
import { subtreeRoots, TreeOutline, type LeafRange } from '#core/merkleRange.js';
import { valuesOf } from '#core/shards.js';
import { decodeUpdateHead, longestUpdateHead, type UpdateHeader } from '#core/updateFile.js';
import { sealTagBytes } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import type { UpdateName, Updates } from '#services/updates.js';
import { openUpdateHead, updateOverhead } from '#services/updateSealing.js';

/** What is known of an update that was read piece after piece and not kept. */
export interface UpdateOutline {
  header: UpdateHeader;
  /** Proves any of the ranges under the update's root. */
  tree: TreeOutline;
  saturated: number;
  /** How a range of the sealed file is read and decrypted. */
  access: UpdateAccess;
}

export interface UpdateAccess {
  key: Uint8Array;
  nonce: Uint8Array;
  /** Where the encrypted bytes begin in the sealed file, and where the values begin in what they hold. */
  sealedAt: number;
  valuesAt: number;
}

/** How an update is cut: its readers fix how long the envelope's header is. */
export interface OutlineShape {
  dimension: number;
  ranges: readonly LeafRange[];
  readers: readonly Recipient[];
}

/** Updates that are larger than what the worker holds. */
export interface UpdateOutliner {
  /**
   * Reads all of an update: its hash, its seal, its header and its tree are checked; 12 MB are held.
   * @throws NOT_FOUND, PAYLOAD_TOO_LARGE, ARTIFACT_CORRUPT, SEAL_NOT_FOR_YOU, SEAL_BROKEN, FORMAT_INVALID
   */
  outline(name: UpdateName, shape: OutlineShape): Promise<UpdateOutline>;
  /** Reads the update's beginning alone. @throws as outline */
  access(name: UpdateName, readers: readonly Recipient[]): Promise<UpdateAccess>;
}

/** Remembers what it has read last: an outline is asked for when an update is admitted and when it is added. */
export function updateOutliner(
  updates: Pick<Updates, 'size' | 'readRange'>,
  reader: { id: Hex; privateKey: Uint8Array },
): UpdateOutliner {
  const outlines = remembering<UpdateOutline>(256);
  const accesses = remembering<UpdateAccess>(16_384);

  async function open(name: UpdateName, readers: readonly Recipient[]) {
    const size = await updates.size(name);
    const sealedAt = updateOverhead(readers) - sealTagBytes;
    if (size <= sealedAt + sealTagBytes)
      throw new RoundtableError('SEAL_BROKEN', `The update of runner ${name.runner} has only ${size} bytes.`);
    const head = await updates.readRange(name, 0, Math.min(size, sealedAt + longestUpdateHead));
    const opened = openUpdateHead(head, reader, name);
    const beginning = opened.stream().next(head.subarray(opened.at, size - sealTagBytes));
    const { header, valuesAt } = decodeUpdateHead(beginning);
    const { key, nonce, at } = opened;
    return { size, opened, header, access: { key, nonce, sealedAt: at, valuesAt } };
  }

  async function read(
    name: UpdateName,
    { dimension, ranges, readers }: OutlineShape,
  ): Promise<UpdateOutline> {
    const { size, opened, header, access } = await open(name, readers);
    const end = size - sealTagBytes;
    const expected = access.valuesAt + 4 * dimension;
    if (end - opened.at !== expected)
      throw new RoundtableError(
        end - opened.at > expected ? 'PAYLOAD_TOO_LARGE' : 'FORMAT_INVALID',
        `It is too ${end - opened.at > expected ? 'large' : 'short'}: ${end - opened.at} bytes where ${expected} were expected.`,
      );
    const hash = createHash('sha256').update(await updates.readRange(name, 0, opened.at));
    const stream = opened.stream();
    const values = new ValueReader(dimension, ranges);
    let skip = access.valuesAt;
    for (let at = opened.at; at < end; at += pieceBytes) {
      const bytes = await updates.readRange(name, at, Math.min(at + pieceBytes, end));
      hash.update(bytes);
      const plain = stream.next(bytes);
      values.take(plain.subarray(Math.min(skip, plain.length)));
      skip = Math.max(0, skip - plain.length);
    }
    const tag = await updates.readRange(name, end, size);
    const found = toHex(hash.update(tag).digest());
    if (found !== name.file)
      throw new RoundtableError(
        'ARTIFACT_CORRUPT',
        `What runner ${name.runner} uploaded as ${name.file} has the hash ${found}.`,
      );
    stream.end(tag);
    return { header, tree: values.tree, saturated: values.saturated, access };
  }

  return {
    outline: (name, shape) => outlines(`${keyOf(name)} in ${shape.ranges.length}`, () => read(name, shape)),
    access: (name, readers) => accesses(keyOf(name), async () => (await open(name, readers)).access),
  };
}

const pieceBytes = 4 * 1024 * 1024;
/** Leaves that are hashed at a time: 4 MB of values. */
const leavesAtOnce = 2 ** 14;

/** Takes the values of an update in order and makes the tree's outline of them. */
class ValueReader {
  readonly tree: TreeOutline;
  saturated = 0;
  readonly #dimension: number;
  readonly #pieces: LeafRange[];
  #next = 0;
  #piece = new Int32Array(0);
  #filled = 0;

  constructor(dimension: number, ranges: readonly LeafRange[]) {
    this.tree = new TreeOutline(sha256, leafCount(dimension));
    this.#dimension = dimension;
    this.#pieces = ranges.flatMap(({ from, to }) => cut(from, to));
    this.#open();
  }

  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = new Uint8Array(this.#piece.buffer);
      const length = Math.min(bytes.length - at, room.length - this.#filled);
      room.set(bytes.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled === room.length) this.#close();
    }
  }

  #open(): void {
    const range = this.#pieces[this.#next];
    const [from, to] = range ? valuesOf(this.#dimension, range) : [0, 0];
    this.#piece = new Int32Array(to - from);
    this.#filled = 0;
  }

  #close(): void {
    const range = this.#pieces[this.#next];
    if (!range) throw new TypeError('there are more values than leaves');
    for (let i = 0; i < this.#piece.length; i++) {
      const value = this.#piece[i];
      if (value === INT32_LIMIT || value === -INT32_LIMIT) this.saturated++;
      if (value === -(2 ** 31))
        throw new RoundtableError(
          'FORMAT_INVALID',
          `Not an update file: value ${range.from * VALUES_PER_LEAF + i} is -2^31.`,
        );
    }
    this.tree.add(range, subtreeRoots(sha256, LEAF.update, this.#piece, range));
    this.#next++;
    this.#open();
  }
}

/** In pieces that end at multiples of leavesAtOnce, so that no subtree is cut. */
function cut(from: number, to: number): LeafRange[] {
  const pieces: LeafRange[] = [];
  for (let at = from; at < to;) {
    const end = Math.min(to, (Math.floor(at / leavesAtOnce) + 1) * leavesAtOnce);
    pieces.push({ from: at, to: end });
    at = end;
  }
  return pieces;
}

/** The answers asked for last, by name; what failed is asked for again. */
function remembering<T>(most: number) {
  const known = new Map<string, Promise<T>>();
  return (name: string, ask: () => Promise<T>): Promise<T> => {
    const answer = known.get(name) ?? ask();
    known.delete(name);
    known.set(name, answer);
    answer.catch(() => known.delete(name));
    const [oldest] = known.keys();
    if (known.size > most && oldest !== undefined) known.delete(oldest);
    return answer;
  };
}

const keyOf = ({ job, round, runner, file }: UpdateName): string => `${job}/${round}/${runner}/${file}`;
