/** Reading and writing the wire format of protobuf, as much of it as ONNX files need (https://protobuf.dev/programming-guides/encoding). */

export interface Field {
  number: number;
  /** The number itself; of a fixed32 its bits, of what has bytes their length. */
  value: number;
  /** Of strings, messages and packed lists. */
  bytes: Uint8Array;
  /** The field as it stands in the file, tag and all. */
  raw: Uint8Array;
}

/** @throws Error for what is not protobuf */
export function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  let at = 0;
  while (at < message.length) {
    const begin = at;
    const tag = varint();
    const kind = tag % 8;
    let value = 0;
    let bytes: Uint8Array = empty;
    if (kind === VARINT) value = varint();
    else if (kind === BYTES) {
      value = varint();
      if (value < 0) throw new Error('Not an ONNX file: a field has a negative length.');
      bytes = message.subarray(at, at + value);
      at += value;
    } else if (kind === FIXED32) {
      value = at + 4 <= message.length ? view.getUint32(at, true) : 0;
      at += 4;
    } else if (kind === FIXED64) at += 8;
    else throw new Error(`Not an ONNX file: protobuf knows no wire type ${kind}.`);
    if (at > message.length) throw new Error('Not an ONNX file: a field ends behind its message.');
    fields.push({ number: Math.floor(tag / 8), value, bytes, raw: message.subarray(begin, at) });
  }
  return fields;

  function varint(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++] ?? 0;
      if (shift < 28) low += (byte & 127) * 2 ** shift;
      else high += (byte & 127) * 2 ** (shift - 28);
      if (byte < 128) break;
    }
    // Negative int64 fill all 64 bits.
    return high >= 2 ** 35 ? (high - 2 ** 36) * 2 ** 28 + low : high * 2 ** 28 + low;
  }
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Numbers of a repeated field, packed or not. */
export function numbersOf(fields: readonly Field[], number: number): number[] {
  return fields
    .filter((field) => field.number === number)
    .flatMap(({ bytes, value }) => (bytes.length > 0 ? packed(bytes) : [value]));
}

export function message(number: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [Uint8Array.from([...varintOf(number * 8 + BYTES), ...varintOf(length)]), ...parts];
}

export function integer(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varintOf(number * 8 + VARINT), ...varintOf(value)]);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];
const empty = new Uint8Array();

function packed(bytes: Uint8Array): number[] {
  // A packed list has no tags: each of its numbers is given one.
  const tagged: number[] = [];
  let starts = true;
  for (const byte of bytes) {
    if (starts) tagged.push(8);
    tagged.push(byte);
    starts = byte < 128;
  }
  return fieldsOf(Uint8Array.from(tagged)).map(({ value }) => value);
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) + 128 : rest);
    if (rest < 128) return bytes;
  }
}
