/**
 * Encryption of what is archived, for the members of a consortium.
 *
 * Envelope: "RTSE", version u8 = 1, count u16 LE, then for each recipient {length u8, id, wrapped key 48}, then
 * ephemeral X25519 key 32, commitment 32, nonce 12, ciphertext, tag 16. A random content key is wrapped for each
 * recipient by AES-256-GCM under HKDF-SHA256 of an X25519 agreement. Everything before the ciphertext, and the
 * caller's context, is additional data of the content's AES-256-GCM.
 *
 * The commitment is there because GCM does not bind the key: without it a sealer could wrap different keys that
 * open one ciphertext to different models (Dodis et al., "Fast Message Franking", CRYPTO 2018). Sealing says
 * nothing about who sealed: that is the archive transaction's signature.
 *
 * GCM encrypts in counter mode, so a range can be decrypted without the rest (openSealed, decryptRange). The tag covers
 * the whole alone: whoever reads a range has to know what it must be by other means, such as a Merkle root.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { RoundtableError, isRoundtableError } from '#core/errors.js';
import { agreeX25519, generateX25519Key, x25519PublicKey } from './x25519.js';

export interface SealRecipient {
  /** Names the recipient within one envelope: 1 to 255 bytes of UTF-8. */
  id: string;
  /** X25519, 32 bytes; see x25519.ts. */
  publicKey: Uint8Array;
}

/**
 * @param context what the envelope is for, for instance a job and version; unsealing needs the same
 * @throws INVALID_INPUT for no recipients, equal ids, or a key that is not X25519
 * @example const envelope = seal(model, [{ id: 'clinic-a', publicKey }], 'model 0x…');
 */
export function seal(plain: Uint8Array, recipients: readonly SealRecipient[], context: string): Uint8Array {
  if (recipients.length === 0 || recipients.length > 0xffff)
    throw new RoundtableError('INVALID_INPUT', `Expected 1 to 65,535 recipients, got ${recipients.length}.`);
  if (new Set(recipients.map(({ id }) => id)).size !== recipients.length)
    throw new RoundtableError('INVALID_INPUT', 'Two recipients of one envelope have the same id.');
  const ephemeral = generateX25519Key();
  const content = randomBytes(KEY);
  const count = Buffer.alloc(2);
  count.writeUInt16LE(recipients.length);
  const slots = recipients.flatMap(({ id, publicKey }) => {
    const shared = agreeX25519(ephemeral.privateKey, publicKey);
    return [
      encodeId(id),
      ...encrypt(wrappingKey(shared, ephemeral.publicKey, publicKey, id), WRAP_NONCE, NOTHING, content),
    ];
  });
  const { key, commitment } = contentKeys(content);
  const nonce = randomBytes(NONCE);
  const header = Buffer.concat([MAGIC, count, ...slots, ephemeral.publicKey, commitment, nonce]);
  return Buffer.concat([header, ...encrypt(key, nonce, additionalData(header, context), plain)]);
}

/** Bytes by which an envelope is longer than what it holds. */
export function sealedOverhead(ids: readonly string[]): number {
  const slots = ids.reduce((sum, id) => sum + 1 + Buffer.byteLength(id, 'utf8') + WRAPPED, 0);
  return MAGIC.length + 2 + slots + KEY + KEY + NONCE + TAG;
}

/**
 * @throws SEAL_NOT_FOR_YOU if the envelope has nothing for this id, or what it has was made for another key
 * @throws SEAL_BROKEN if any byte was changed or is missing, or the context is another
 */
export function unseal(
  envelope: Uint8Array,
  recipient: { id: string; privateKey: Uint8Array },
  context: string,
): Uint8Array {
  const { header, key, nonce, body } = openEnvelope(envelope, recipient);
  const plain = decrypt(key, nonce, additionalData(header, context), body);
  if (!plain) throw broken('it was altered, or sealed for another purpose');
  return plain;
}

/** An envelope of which only the beginning is at hand. */
export interface OpenedSeal {
  /** Whoever has it reads what the envelope holds, and nothing else. */
  key: Uint8Array;
  nonce: Uint8Array;
  /** Where the encrypted bytes begin, as many as the plain ones; 16 bytes of tag follow them. */
  at: number;
  /** Decrypts all of it, piece after piece; `end` takes the tag. @throws SEAL_BROKEN as unseal */
  stream(context: string): { next(bytes: Uint8Array): Uint8Array; end(tag: Uint8Array): void };
}

/**
 * @param head the envelope's beginning, at least 16 bytes more than sealedOverhead
 * @throws SEAL_NOT_FOR_YOU, SEAL_BROKEN as far as the head shows it
 */
export function openSealed(head: Uint8Array, recipient: { id: string; privateKey: Uint8Array }): OpenedSeal {
  const { header, key, nonce } = openEnvelope(head, recipient);
  return {
    key,
    nonce,
    at: header.length,
    stream(context) {
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG });
      decipher.setAAD(additionalData(header, context));
      return {
        next: (bytes) => decipher.update(bytes),
        end(tag) {
          decipher.setAuthTag(tag);
          try {
            decipher.final();
          } catch (cause) {
            throw broken('it was altered, or sealed for another purpose', cause);
          }
        },
      };
    },
  };
}

/** Bytes of the tag that ends an envelope. */
export const sealTagBytes = 16;

/**
 * Decrypts from the plain byte `from` on, piece after piece. Nothing here tells whether the bytes are right.
 * @example const next = rangeDecipher(seal, 4096); next(encryptedBytesFrom4096)
 */
export function rangeDecipher(
  { key, nonce }: Pick<OpenedSeal, 'key' | 'nonce'>,
  from: number,
): (bytes: Uint8Array) => Uint8Array {
  // NIST SP 800-38D 7.1: counter block 1 makes the tag, 2 encrypts the first 16 bytes.
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(2 + Math.floor(from / BLOCK));
  const decipher = createDecipheriv('aes-256-ctr', key, Buffer.concat([nonce, counter]));
  decipher.update(Buffer.alloc(from % BLOCK));
  return (bytes) => decipher.update(bytes);
}

function openEnvelope(envelope: Uint8Array, recipient: { id: string; privateKey: Uint8Array }) {
  const { header, slots, ephemeralKey, commitment, nonce, body } = readEnvelope(envelope);
  const wrapped = slots.get(recipient.id);
  if (!wrapped) throw notForYou(recipient.id);
  const publicKey = x25519PublicKey(recipient.privateKey);
  const shared = agree(recipient.privateKey, ephemeralKey);
  const content = decrypt(
    wrappingKey(shared, ephemeralKey, publicKey, recipient.id),
    WRAP_NONCE,
    NOTHING,
    wrapped,
  );
  if (!content) throw notForYou(recipient.id);
  const keys = contentKeys(content);
  if (!timingSafeEqual(keys.commitment, commitment))
    throw broken('its content key is not the one it commits to');
  return { header, key: keys.key, nonce, body };
}

/** Whether bytes begin as an envelope of this version does. */
export function isSealed(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** The ids that an envelope names, in its order. Only unsealing tells whether they are true. @throws SEAL_BROKEN */
export function sealedFor(envelope: Uint8Array): string[] {
  return [...readEnvelope(envelope).slots.keys()];
}

const MAGIC = Buffer.from('RTSE\u0001', 'latin1');
const KEY = 32;
const NONCE = 12;
const TAG = sealTagBytes;
const BLOCK = 16;
const WRAPPED = KEY + TAG;
const NOTHING = Buffer.alloc(0);
/** A wrapping key is used once: it depends on the ephemeral key. */
const WRAP_NONCE = Buffer.alloc(NONCE);

interface Envelope {
  /** Everything before the ciphertext. */
  header: Uint8Array;
  slots: Map<string, Uint8Array>;
  ephemeralKey: Uint8Array;
  commitment: Uint8Array;
  nonce: Uint8Array;
  /** Ciphertext and tag. */
  body: Uint8Array;
}

function readEnvelope(bytes: Uint8Array): Envelope {
  const envelope = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const take = (length: number) => {
    if (at + length > envelope.length) throw broken('it ends early');
    at += length;
    return envelope.subarray(at - length, at);
  };
  if (!take(MAGIC.length).equals(MAGIC)) throw broken('it does not begin as an envelope of version 1 does');
  const count = take(2).readUInt16LE();
  const slots = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const id = take(take(1).readUInt8()).toString('utf8');
    if (slots.has(id)) throw broken('it names a recipient twice');
    slots.set(id, take(WRAPPED));
  }
  const ephemeralKey = take(KEY);
  const commitment = take(KEY);
  const nonce = take(NONCE);
  const header = envelope.subarray(0, at);
  if (envelope.length - at < TAG) throw broken('it ends early');
  return { header, slots, ephemeralKey, commitment, nonce, body: envelope.subarray(at) };
}

function encodeId(id: string): Uint8Array {
  const bytes = Buffer.from(id, 'utf8');
  if (bytes.length === 0 || bytes.length > 255 || bytes.toString('utf8') !== id)
    throw new RoundtableError(
      'INVALID_INPUT',
      `A recipient's id has 1 to 255 bytes of UTF-8, got ${JSON.stringify(id)}.`,
    );
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function wrappingKey(
  shared: Uint8Array,
  ephemeralKey: Uint8Array,
  publicKey: Uint8Array,
  id: string,
): Uint8Array {
  return derive(shared, Buffer.concat([ephemeralKey, publicKey]), `roundtable/seal/1/wrap/${id}`);
}

function contentKeys(content: Uint8Array): { key: Uint8Array; commitment: Uint8Array } {
  return {
    key: derive(content, NOTHING, 'roundtable/seal/1/content'),
    commitment: derive(content, NOTHING, 'roundtable/seal/1/commitment'),
  };
}

function derive(secret: Uint8Array, salt: Uint8Array, info: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, salt, Buffer.from(info, 'utf8'), KEY));
}

/** The header says itself where it ends, so the context can follow it without a length. */
function additionalData(header: Uint8Array, context: string): Uint8Array {
  return Buffer.concat([header, Buffer.from(context, 'utf8')]);
}

/** Ciphertext and tag in pieces: the caller joins them once. */
function encrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  additional: Uint8Array,
  plain: Uint8Array,
): Uint8Array[] {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG });
  cipher.setAAD(additional);
  return [cipher.update(plain), cipher.final(), cipher.getAuthTag()];
}

/** Undefined if the tag does not match. */
function decrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  additional: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG });
  decipher.setAAD(additional);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain;
}

function agree(privateKey: Uint8Array, ephemeralKey: Uint8Array): Uint8Array {
  try {
    return agreeX25519(privateKey, ephemeralKey);
  } catch (error) {
    if (isRoundtableError(error, 'INVALID_INPUT')) throw broken('its ephemeral key is unsafe', error);
    throw error;
  }
}

function notForYou(id: string): RoundtableError {
  return new RoundtableError(
    'SEAL_NOT_FOR_YOU',
    `The envelope cannot be opened as ${JSON.stringify(id)}: it was sealed for others, or for another key.`,
  );
}

function broken(why: string, cause?: unknown): RoundtableError {
  return new RoundtableError(
    'SEAL_BROKEN',
    `The envelope cannot be trusted: ${why}. Fetch it again from another place.`,
    { cause },
  );
}
