/**
 * Protocol Buffers on the wire (https://protobuf.dev/programming-guides/encoding/), read against a shape that says
 * what may stand in a message. What is read is written anew from what was checked: fields that the shape does not
 * name are left out, a field that comes twice is refused, so Temporal cannot read anything else than we did.
 */

/** Where in a message, and what is wrong there. The text holds numbers only, nothing from the message. */
export class Malformed extends Error {}

export type Shape = Readonly<Record<number, Rule>>;

export type Rule =
  | { readonly type: 'bytes' | 'text'; readonly most: number }
  | { readonly type: 'number' }
  | {
      readonly type: 'message';
      /** A function, because messages contain themselves. */
      readonly shape: () => Shape;
      /** How often the field may come; once unless given. */
      readonly times?: number;
      /** Looks at the message inside. @throws Malformed */
      readonly check?: (message: Message) => void;
    };

/** A checked message: by field number its values, in order; messages inside are encoded again already. */
export type Message = Map<number, (Uint8Array | bigint)[]>;

/** Deeper than anything that a worker sends; parsers give up at about 100. */
const deepest = 12;

/** @throws Malformed */
export function readMessage(bytes: Uint8Array, shape: Shape, depth = 0): Message {
  if (depth > deepest) throw new Malformed(`messages lie more than ${deepest} deep in each other`);
  const message: Message = new Map();
  for (const { field, value } of fieldsOf(bytes)) {
    const rule = shape[field];
    if (!rule) continue;
    const values = message.get(field) ?? [];
    const times = rule.type === 'message' ? (rule.times ?? 1) : 1;
    if (values.length >= times) throw new Malformed(`field ${field} comes more than ${times} times`);
    values.push(checked(field, value, rule, depth));
    message.set(field, values);
  }
  return message;
}

export function writeMessage(message: Message): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const field of [...message.keys()].sort((a, b) => a - b))
    for (const value of message.get(field) ?? []) {
      if (typeof value === 'bigint') parts.push(varint(BigInt(field) << 3n), varint(value));
      else parts.push(varint((BigInt(field) << 3n) | 2n), varint(BigInt(value.length)), value);
    }
  return Buffer.concat(parts);
}

/** A field's text; empty when it is not there, as Protocol Buffers have it. */
export function textOf(message: Message, field: number): string {
  const [value] = message.get(field) ?? [];
  return value instanceof Uint8Array ? utf8.decode(value) : '';
}

export function bytesOf(message: Message, field: number): Uint8Array {
  const [value] = message.get(field) ?? [];
  return value instanceof Uint8Array ? value : new Uint8Array(0);
}

/**
 * Replaces the first field of a message that is otherwise left as it is, byte for byte.
 * @throws Malformed
 */
export function replaceBytes(
  bytes: Uint8Array,
  field: number,
  change: (value: Uint8Array) => Uint8Array,
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { field: found, value, start, end } of fieldsOf(bytes)) {
    if (found === field && value instanceof Uint8Array)
      parts.push(writeMessage(new Map([[field, [change(value)]]])));
    else parts.push(bytes.subarray(start, end));
  }
  return Buffer.concat(parts);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function checked(
  field: number,
  value: Uint8Array | bigint | null,
  rule: Rule,
  depth: number,
): Uint8Array | bigint {
  if (rule.type === 'number') {
    if (typeof value !== 'bigint') throw new Malformed(`field ${field} is not a number`);
    return value;
  }
  if (!(value instanceof Uint8Array)) throw new Malformed(`field ${field} has no length`);
  if (rule.type === 'message') {
    const message = readMessage(value, rule.shape(), depth + 1);
    rule.check?.(message);
    return writeMessage(message);
  }
  if (value.length > rule.most)
    throw new Malformed(`field ${field} has ${value.length} bytes, at most ${rule.most} are taken`);
  if (rule.type === 'text') {
    try {
      utf8.decode(value);
    } catch {
      throw new Malformed(`field ${field} is not UTF-8`);
    }
  }
  return value;
}

interface Field {
  field: number;
  /** Null for fixed-width numbers, which no shape here has. */
  value: Uint8Array | bigint | null;
  start: number;
  end: number;
}

function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const number = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Malformed('the message ends within a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value >> 64n) break;
        return value;
      }
    }
    throw new Malformed('a number has more than 64 bits');
  };
  const take = (length: bigint): Uint8Array => {
    if (length > BigInt(bytes.length - at)) throw new Malformed('a field is longer than its message');
    at += Number(length);
    return bytes.subarray(at - Number(length), at);
  };
  while (at < bytes.length) {
    const start = at;
    const tag = number();
    const field = Number(tag >> 3n);
    if (field < 1 || field > 0x1fffffff) throw new Malformed('a field has an impossible number');
    const wire = Number(tag & 7n);
    let value: Field['value'] = null;
    if (wire === 0) value = number();
    else if (wire === 2) value = take(number());
    else if (wire === 1) take(8n);
    else if (wire === 5) take(4n);
    else throw new Malformed(`field ${field} is a group or of an unknown kind`);
    yield { field, value, start, end: at };
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}
