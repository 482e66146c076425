/**
 * Arweave transactions of format 2: their form, their signature, and the Merkle tree over their data.
 * The archive and the local gateway both check with what is here; payload and tree are arweave-js's own.
 */
import { constants, createPublicKey, verify } from 'node:crypto';
import Arweave from 'arweave';
import { generateTransactionChunks } from 'arweave/node/lib/merkle.js';
import { z } from 'zod';
import type { ArchiveSigner } from './archiveKey.js';
import { sha256 } from './sha256.js';

const base64url = z.string().refine(isCanonicalBase64url, 'not canonical base64url');
const bytes = (length: number) =>
  base64url.refine((text) => Buffer.byteLength(text, 'base64url') === length, `not ${length} bytes`);
const integer = z.string().regex(/^(0|[1-9][0-9]{0,23})$/, 'not a decimal integer');

/** A signed transaction without its data, as `GET /tx/{id}` gives it. Fields we do not know are dropped. */
export const transactionHeader = z.object({
  format: z.literal(2),
  id: bytes(32),
  last_tx: base64url.max(64),
  owner: bytes(512),
  tags: z.array(z.object({ name: base64url, value: base64url })).max(128),
  target: z.union([z.literal(''), bytes(32)]),
  quantity: integer,
  data_size: integer.refine((text) => Number.isSafeInteger(Number(text)), 'too large'),
  data_root: z.union([z.literal(''), bytes(32)]),
  reward: integer,
  signature: bytes(512),
});

export type TransactionHeader = z.infer<typeof transactionHeader>;

/** The chunks of some data and its Merkle tree. */
export interface DataTree {
  /** base64url of 32 bytes. */
  readonly dataRoot: string;
  /** Byte ranges in order, each with the proof (`data_path`) that leads from the root to it. */
  readonly chunks: readonly { start: number; end: number; path: Uint8Array }[];
}

/** True if the id is the signature's hash and the owner signed exactly these fields. */
export async function isSignedTransaction(header: TransactionHeader): Promise<boolean> {
  const signature = Buffer.from(header.signature, 'base64url');
  if (Buffer.from(sha256(signature)).toString('base64url') !== header.id) return false;
  const payload = await signatureData(header);
  try {
    const key = createPublicKey({ key: { kty: 'RSA', e: 'AQAB', n: header.owner }, format: 'jwk' });
    // The salt's length is read from the signature: clients use 32 bytes or the longest possible.
    return verify(
      'sha256',
      payload,
      { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
      signature,
    );
  } catch {
    return false; // not a key
  }
}

/** @param reward in winston; `anchor` a recent block's id */
export async function signTransaction(
  signer: ArchiveSigner,
  content: { dataRoot: string; size: number; tags: Record<string, string>; anchor: string; reward: string },
): Promise<TransactionHeader> {
  const unsigned = {
    format: 2 as const,
    last_tx: content.anchor,
    owner: signer.owner,
    tags: Object.entries(content.tags).map(([name, value]) => ({
      name: encodeText(name),
      value: encodeText(value),
    })),
    target: '',
    quantity: '0',
    data_size: String(content.size),
    data_root: content.dataRoot,
    reward: content.reward,
  };
  const signature = await signer.sign(await signatureData(unsigned));
  return {
    ...unsigned,
    id: Buffer.from(sha256(signature)).toString('base64url'),
    signature: Buffer.from(signature).toString('base64url'),
  };
}

/** Cuts and hashes data the way every Arweave client does. */
export async function dataTree(data: Uint8Array): Promise<DataTree> {
  // arweave-js slices the rest off once per chunk, which copies a Uint8Array (quadratic) but not a Buffer.
  const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const { data_root, chunks, proofs } = await generateTransactionChunks(view);
  return {
    dataRoot: Buffer.from(data_root).toString('base64url'),
    chunks: proofs.map(({ proof }, i) => ({
      start: chunks[i]?.minByteRange ?? 0,
      end: chunks[i]?.maxByteRange ?? 0,
      path: proof,
    })),
  };
}

/** One spelling for each value: with spare bits set, another text would decode to the same bytes. */
export function isCanonicalBase64url(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text;
}

/** True if these are the bytes whose data root was signed. */
export async function isDataOf(header: TransactionHeader, data: Uint8Array): Promise<boolean> {
  return data.length === Number(header.data_size) && (await dataTree(data)).dataRoot === header.data_root;
}

/** Tags are bytes on the network; as text for people and indexes. */
export function decodeTags(header: TransactionHeader): { name: string; value: string }[] {
  return header.tags.map(({ name, value }) => ({ name: decodeText(name), value: decodeText(value) }));
}

const arweave = Arweave.init({});

function signatureData(fields: Omit<TransactionHeader, 'id' | 'signature'>): Promise<Uint8Array> {
  const transaction = arweave.transactions.fromRaw({ ...fields, data: new Uint8Array() });
  return transaction.getSignatureData();
}

function encodeText(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}

function decodeText(text: string): string {
  return Buffer.from(text, 'base64url').toString('utf8');
}
