import { z } from 'zod';
import { archiveAddress } from '#services/archiveKey.js';
import {
  dataTree,
  decodeTags,
  isSignedTransaction,
  transactionHeader,
  type TransactionHeader,
} from '#services/archiveTransaction.js';
import { Chain, type Block } from './chain.js';
import { ChunkStore, checkChunk, type Chunk, type DataName, type PostedChunk } from './chunks.js';
import { Folder } from './folder.js';
import { Ledger } from './ledger.js';
import { Refusal } from './refusal.js';

/** A transaction that was accepted. It is confirmed, and has a block, once all its data is there. */
export interface Accepted {
  readonly header: TransactionHeader;
  readonly address: string;
  readonly tags: { name: string; value: string }[];
  readonly block: Block | undefined;
}

/** Everything the gateway keeps: transactions, chunks, blocks, balances. What it takes in, it has checked. */
export class Weave {
  readonly ledger = new Ledger();
  readonly chain: Chain;
  readonly #folder: Folder;
  readonly #chunks: ChunkStore;
  readonly #entries = new Map<string, Entry>();
  readonly #pending = new Map<string, Entry>();
  #received = 0;

  /** @param path of the folder that holds all data; made if missing */
  constructor(path: string) {
    this.#folder = new Folder(path);
    this.chain = new Chain(this.#folder);
    this.#chunks = new ChunkStore(this.#folder);
    const records = this.#folder.records('transactions', recordSchema);
    records.sort((a, b) => a.received - b.received);
    for (const { received, header } of records) {
      this.#received = received + 1;
      this.#take(header);
    }
    // A kill between the last chunk and its block.
    for (const entry of this.#pending.values()) this.#confirmIfComplete(entry);
  }

  /**
   * @param data what came in the transaction's body; empty if the chunks follow
   * @returns false if the transaction was known
   * @throws Refusal
   */
  async addTransaction(header: TransactionHeader, data: Uint8Array): Promise<boolean> {
    if (this.#entries.has(header.id)) return false;
    await this.#check(header);
    if (data.length > 0) {
      const { dataRoot, chunks } = await dataTree(data);
      if (dataRoot !== header.data_root || data.length !== Number(header.data_size))
        throw new Refusal(400, 'The attached data is split in an unknown way.');
      // Before the transaction: a transaction posted with its data is there with it or not at all.
      for (const { start, end, path } of chunks)
        await this.#chunks.add(dataName(header), { start, end, bytes: data.subarray(start, end), path });
    }
    if (this.#entries.has(header.id)) return false; // posted twice at once
    this.#folder.writeRecord('transactions', header.id, { received: this.#received++, header });
    this.#confirmIfComplete(this.#take(header));
    return true;
  }

  /** @returns the transactions that this chunk made complete. @throws Refusal */
  async addChunk(posted: PostedChunk): Promise<string[]> {
    const { root, size } = posted.name;
    const waiting = [...this.#entries.values()].filter(
      ({ header }) => header.data_root === root && Number(header.data_size) === size,
    );
    if (waiting.length === 0) throw new Refusal(400, { error: 'data_root_not_found' });
    await this.#chunks.add(posted.name, await checkChunk(posted));
    return waiting.filter((entry) => this.#confirmIfComplete(entry)).map(({ header }) => header.id);
  }

  get(id: string): Accepted | undefined {
    return this.#entries.get(id);
  }

  /** Confirmed transactions by height, then those still pending. */
  *all(): Generator<Accepted> {
    for (const { txs } of this.chain.blocks)
      for (const id of txs) {
        const entry = this.#entries.get(id);
        if (entry) yield entry;
      }
    yield* this.#pending.values();
  }

  pendingIds(): string[] {
    return [...this.#pending.keys()];
  }

  /** The chunk at a byte of the weave, counted from 1, with its transaction. */
  async chunkAt(offset: number): Promise<{ chunk: Chunk; header: TransactionHeader } | undefined> {
    const place = this.chain.locate(offset);
    const entry = this.#entries.get(place?.block.txs[0] ?? '');
    if (!place || !entry) return undefined;
    const chunk = await this.#chunks.find(dataName(entry.header), place.position);
    return chunk && { chunk, header: entry.header };
  }

  /** The data of a confirmed transaction, from byte `from` up to `to`. */
  read(header: TransactionHeader, from: number, to: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    return this.#chunks.read(dataName(header), from, to);
  }

  async #check(header: TransactionHeader): Promise<void> {
    const owner = archiveAddress({ n: header.owner });
    const tagBytes = header.tags.reduce(
      (sum, { name, value }) => sum + byteLength(name) + byteLength(value),
      0,
    );
    const hasData = header.data_size !== '0';
    const cost = BigInt(header.reward) + BigInt(header.quantity);
    if (
      hasData !== (header.data_root !== '') ||
      tagBytes > MAX_TAG_BYTES ||
      BigInt(header.reward) < this.ledger.price(BigInt(header.data_size), header.target) ||
      cost > this.ledger.balance(owner) ||
      (header.quantity !== '0' && header.target === '') ||
      !(await isSignedTransaction(header))
    )
      throw new Refusal(400, 'Transaction verification failed.');
    // The network takes only the last 50 blocks; ours come as fast as transactions, so any will do.
    if (!this.chain.byHash(header.last_tx) && header.last_tx !== this.ledger.lastTransaction(owner))
      throw new Refusal(400, 'Invalid anchor (last_tx).');
  }

  #take(header: TransactionHeader): Entry {
    const entry: Entry = {
      header,
      address: archiveAddress({ n: header.owner }),
      tags: decodeTags(header),
      block: this.chain.of(header.id),
    };
    this.ledger.apply(header);
    this.#entries.set(header.id, entry);
    if (!entry.block) this.#pending.set(header.id, entry);
    return entry;
  }

  #confirmIfComplete(entry: Entry): boolean {
    if (entry.block || !this.#chunks.isComplete(dataName(entry.header))) return false;
    entry.block = this.chain.confirm(entry.header);
    this.#pending.delete(entry.header.id);
    return true;
  }
}

interface Entry extends Accepted {
  block: Block | undefined;
}

/** Names and values together, as on the network. */
const MAX_TAG_BYTES = 2048;

const recordSchema = z.object({ received: z.number().int(), header: transactionHeader });

function dataName(header: TransactionHeader): DataName {
  return { root: header.data_root, size: Number(header.data_size) };
}

function byteLength(base64url: string): number {
  return Buffer.byteLength(base64url, 'base64url');
}
