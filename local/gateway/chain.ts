import { createHash } from 'node:crypto';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { sha256 } from '#services/sha256.js';
import type { Folder } from './folder.js';

/**
 * A block. Where the network mines thousands of transactions every two minutes, here each transaction gets a
 * block of its own as soon as all its data is there; block 0 has none.
 */
export interface Block {
  height: number;
  /** base64url of 48 bytes, the hash of everything else here. */
  indep_hash: string;
  previous_block: string;
  /** Unix time, s. */
  timestamp: number;
  txs: string[];
  /** Root of the tree over the block's transactions: see `transactionPath`. */
  tx_root: string;
  /** Bytes of data in this block, and in all blocks up to it. */
  block_size: number;
  weave_size: number;
}

/** The blocks, and where each transaction's data stands in the weave: the sequence of all data ever archived. */
export class Chain {
  readonly #blocks: Block[] = [];
  readonly #byHash = new Map<string, Block>();
  readonly #byTransaction = new Map<string, Block>();

  constructor(private readonly folder: Folder) {
    const blocks = folder.records('blocks', blockSchema);
    blocks.sort((a, b) => a.height - b.height);
    for (const block of blocks) this.#append(block);
    if (blocks.length === 0) this.#extend([], '', 0);
  }

  get tip(): Block {
    const tip = this.#blocks.at(-1);
    if (!tip) throw new RoundtableError('INTERNAL', 'The chain has no block 0.');
    return tip;
  }

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  at(height: number): Block | undefined {
    return this.#blocks[height];
  }

  byHash(hash: string): Block | undefined {
    return this.#byHash.get(hash);
  }

  /** The block that confirms a transaction. */
  of(id: string): Block | undefined {
    return this.#byTransaction.get(id);
  }

  confirm(transaction: { id: string; data_root: string; data_size: string }): Block {
    const size = Number(transaction.data_size);
    const root = size === 0 ? '' : sha256Text(hashOf(transaction.data_root), sha256(sizeNote(size)));
    return this.#extend([transaction.id], root, size);
  }

  /** The block whose data holds this byte of the weave (counted from 1), and the byte's position in that data. */
  locate(offset: number): { block: Block; position: number } | undefined {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#blocks[middle]?.weave_size ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    const block = this.#blocks[low];
    if (!block || offset < 1) return undefined;
    return { block, position: offset - (block.weave_size - block.block_size) - 1 };
  }

  #extend(txs: string[], txRoot: string, size: number): Block {
    const previous = this.#blocks.at(-1);
    const content = {
      height: this.#blocks.length,
      previous_block: previous?.indep_hash ?? '',
      timestamp: Math.floor(Date.now() / 1000),
      txs,
      tx_root: txRoot,
      block_size: size,
      weave_size: (previous?.weave_size ?? 0) + size,
    };
    const indep_hash = createHash('sha384').update(JSON.stringify(content)).digest('base64url');
    const block = { ...content, indep_hash };
    this.folder.writeRecord('blocks', String(block.height), block);
    this.#append(block);
    return block;
  }

  #append(block: Block): void {
    if (block.height !== this.#blocks.length)
      throw new RoundtableError(
        'FORMAT_INVALID',
        `Block ${this.#blocks.length} is missing in ${this.folder.path}/blocks. Restore it, or remove the folder to start anew.`,
      );
    this.#blocks.push(block);
    this.#byHash.set(block.indep_hash, block);
    for (const id of block.txs) this.#byTransaction.set(id, block);
  }
}

/** The proof that a block's only transaction is in its tx_root: the tree has one leaf, so the path is that leaf. */
export function transactionPath(transaction: { data_root: string; data_size: string }): Uint8Array {
  return Buffer.concat([
    Buffer.from(transaction.data_root, 'base64url'),
    sizeNote(Number(transaction.data_size)),
  ]);
}

const blockSchema = z.object({
  height: z.number().int(),
  indep_hash: z.string(),
  previous_block: z.string(),
  timestamp: z.number().int(),
  txs: z.array(z.string()),
  tx_root: z.string(),
  block_size: z.number().int(),
  weave_size: z.number().int(),
});

/** 32 bytes, big-endian, as in the network's Merkle trees. */
function sizeNote(size: number): Buffer {
  const note = Buffer.alloc(32);
  note.writeBigUInt64BE(BigInt(size), 24);
  return note;
}

function hashOf(base64url: string): Uint8Array {
  return sha256(Buffer.from(base64url, 'base64url'));
}

function sha256Text(...parts: Uint8Array[]): string {
  return Buffer.from(sha256(Buffer.concat(parts))).toString('base64url');
}
