import { RoundtableError } from './errors.js';

/** An unsigned integer of up to 64 or 128 bits; numbers must be safe integers. */
export type Uint = number | bigint;

/**
 * Builds the preimages of hashes: fixed-width little-endian integers and raw bytes, one after the other.
 *
 * @example new ByteWriter(5).u8(0x07).u32(round).finish()
 */
export class ByteWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  /** @param length exact number of bytes that will be written */
  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: Uint): this {
    this.#view.setUint8(this.#offset, Number(checked(value, 8)));
    this.#offset += 1;
    return this;
  }

  u32(value: Uint): this {
    this.#view.setUint32(this.#offset, Number(checked(value, 32)), true);
    this.#offset += 4;
    return this;
  }

  u64(value: Uint): this {
    this.#view.setBigUint64(this.#offset, checked(value, 64), true);
    this.#offset += 8;
    return this;
  }

  u128(value: Uint): this {
    const all = checked(value, 128);
    return this.u64(all & 0xffff_ffff_ffff_ffffn).u64(all >> 64n);
  }

  bytes(value: Uint8Array, length: number): this {
    if (value.length !== length)
      throw new RoundtableError(
        'INVALID_INPUT',
        `A field of ${length} bytes was given ${value.length} bytes.`,
      );
    this.#bytes.set(value, this.#offset);
    this.#offset += length;
    return this;
  }

  /** The bytes, once every one of them has been written. */
  finish(): Uint8Array {
    if (this.#offset !== this.#bytes.length)
      throw new RoundtableError('INTERNAL', `${this.#offset} of ${this.#bytes.length} bytes were written.`);
    return this.#bytes;
  }
}

/** Lexicographic order of two byte strings; a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** The bytes of a typed array in memory order, without a copy. Everything here is little-endian, as the wire is. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** int32 little-endian values in `bytes`: a view where they are 4-aligned, a copy otherwise. */
export function int32View(bytes: Uint8Array): Int32Array {
  if (bytes.length % 4 !== 0)
    throw new RoundtableError(
      'FORMAT_INVALID',
      `${bytes.length} bytes are not a whole number of int32 values.`,
    );
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

function checked(value: Uint, bits: number): bigint {
  const valid = typeof value === 'bigint' || Number.isSafeInteger(value);
  const integer = valid ? BigInt(value) : -1n;
  if (integer < 0n || integer >> BigInt(bits) !== 0n)
    throw new RoundtableError('INVALID_INPUT', `${value} is not an unsigned integer of ${bits} bits.`);
  return integer;
}

// Typed arrays have the machine's byte order. Every machine with a JavaScript engine that we know of is
// little-endian except s390x, where silently different hashes would be worse than this.
if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1)
  throw new RoundtableError('INTERNAL', 'Roundtable needs a little-endian machine.');
