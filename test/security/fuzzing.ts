import * as fc from 'fast-check';
import { isRoundtableError } from '#core/errors.js';
import type { ErrorCode } from '#core/errorCodes.js';

/** A parser that outsiders reach, and what it may do with whatever they send. */
export interface Parser {
  name: string;
  /** Valid inputs; every one must be accepted before anything is changed in it. */
  examples: () => Uint8Array[];
  parse: (input: Uint8Array) => unknown;
  /** With these it may refuse; any other error is a hole. */
  codes: readonly ErrorCode[];
  /** Bytes that an input may have here; what is longer is cut. */
  cap: number;
  /** Where the length (u64) of a JSON header stands, if the form has one; the header follows it. */
  header?: number;
  /** Inputs that are parsed side by side, where each waits for something; 1 unless told. */
  atOnce?: number;
}

export const inputs = Number(process.env['FUZZ_INPUTS'] ?? 100_000);
/** Milliseconds for one input: far more than any needs, on a machine that does other things as well. */
const longestMs = 2_000;
/** Megabytes of resident memory that all inputs of one parser may add. */
const mostMemory = 600;

/**
 * Parses `inputs` hostile versions of the examples. Fails with the seed of the input that was not refused as it
 * should be, that took too long, or after which the prototype of all objects is another.
 */
export async function fuzz(parser: Parser): Promise<void> {
  const { name, examples, parse, codes, cap, header, atOnce = 1 } = parser;
  const valid = examples();
  let waits = false;
  for (const example of valid) {
    const result = parse(example);
    waits ||= result instanceof Promise;
    await result;
  }
  const before = process.resourceUsage().maxRSS;
  const allowed = new Set<string>(codes);
  const parseOne = (seed: number): Promise<void> | undefined => {
    const input = hostile(valid, seed, cap, header);
    const began = performance.now();
    const refused = (error: unknown): void => {
      if (!isRoundtableError(error) || !allowed.has(error.code)) throw described(name, input, error);
      if (error.message.length > 50_000) throw described(name, input, new Error('a message without end'));
    };
    const ended = (): void => {
      const took = performance.now() - began;
      if (took > longestMs * atOnce)
        throw described(name, input, new Error(`it took ${Math.round(took)} ms`));
      if ('polluted' in {} || Object.keys(Object.prototype).length > 0)
        throw described(name, input, new Error('the prototype of all objects was changed'));
    };
    try {
      const result = parse(input);
      if (result instanceof Promise) return result.then(() => undefined, refused).then(ended);
    } catch (error) {
      refused(error);
    }
    ended();
    return undefined;
  };
  const runs = { numRuns: Math.ceil(inputs / atOnce), endOnFailure: true };
  if (waits)
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        await Promise.all(Array.from({ length: atOnce }, (_, index) => parseOne(seed + index)));
      }),
      runs,
    );
  // Promises cost more than most parsers do, and ten times that in a process where workflows were tested before.
  else
    fc.assert(
      fc.property(fc.integer(), (seed) => void parseOne(seed)),
      runs,
    );
  const grown = (process.resourceUsage().maxRSS - before) / 1_024;
  if (grown > mostMemory) throw new Error(`${name} took ${Math.round(grown)} MB of memory`);
}

function described(name: string, input: Uint8Array, cause: unknown): Error {
  const text = Buffer.from(input.subarray(0, 400)).toString('latin1');
  const reason = cause instanceof Error ? cause.stack : String(cause);
  return new Error(`${name} on ${JSON.stringify(text)} (${input.length} bytes): ${reason}`, { cause });
}

/** One to four changes to an example: of bytes, of ranges, of numbers and of the structure of JSON. */
export function hostile(
  examples: readonly Uint8Array[],
  seed: number,
  cap: number,
  header?: number,
): Uint8Array {
  const random = mulberry32(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  let bytes: Uint8Array = Uint8Array.from(pick(examples));
  if (below(2) === 0) {
    bytes = restructured(bytes, header, below).subarray(0, cap);
    if (below(3) > 0) return bytes;
  }
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(bytes.length + 1);
    switch (below(10)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at] = pick(INTERESTING_BYTES);
        break;
      case 2:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 3:
        bytes = splice(bytes, at, below(16), new Uint8Array());
        break;
      case 4:
        bytes = splice(bytes, at, 0, bytes.subarray(below(bytes.length), below(bytes.length) + below(64)));
        break;
      case 5:
        bytes = bytes.subarray(0, at);
        break;
      case 6:
        if (bytes.length >= 8)
          new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(
            below(bytes.length - 7),
            BigInt.asUintN(64, pick([...INTERESTING_INTEGERS, BigInt(bytes.length), BigInt(at)])),
            true,
          );
        break;
      case 7:
        bytes = otherNumber(bytes, at, pick(INTERESTING_NUMBERS));
        break;
      case 8:
        bytes = splice(bytes, atToken(bytes, at), 0, pick(TOKENS));
        break;
      case 9: {
        const other = pick(examples);
        bytes = splice(bytes, at, below(64), other.subarray(below(other.length)));
        break;
      }
    }
    bytes = Uint8Array.from(bytes.subarray(0, cap));
  }
  return bytes;
}

/** The same JSON, or the same file behind another header, with one to three changes to its tree; others as they are. */
function restructured(
  bytes: Uint8Array,
  header: number | undefined,
  below: (limit: number) => number,
): Uint8Array {
  const start = header === undefined ? 0 : header + 8;
  const end =
    header === undefined
      ? bytes.length
      : start + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(header, true));
  if (bytes[start] !== 0x7b) return bytes;
  const root: { all: unknown } = { all: JSON.parse(Buffer.from(bytes.subarray(start, end)).toString()) };
  for (let left = 1 + below(3); left > 0; left--) changeTree(root, below);
  const json = encode(JSON.stringify(root.all) ?? '');
  if (header === undefined) return json;
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([bytes.subarray(0, header), length, padded, bytes.subarray(end)]);
}

function changeTree(root: { all: unknown }, below: (limit: number) => number): void {
  let parent: Record<string, unknown> = root;
  let key = 'all';
  for (let depth = below(6); depth > 0; depth--) {
    const child = parent[key];
    if (typeof child !== 'object' || child === null) break;
    const keys = Object.keys(child);
    const next = keys[below(keys.length)];
    if (next === undefined) break;
    [parent, key] = [child as Record<string, unknown>, next];
  }
  switch (below(5)) {
    case 0:
      delete parent[key];
      break;
    case 1:
      Object.defineProperty(parent, HOSTILE_KEYS[below(HOSTILE_KEYS.length)] ?? '', {
        value: parent[key],
        enumerable: true,
        configurable: true,
        writable: true,
      });
      break;
    case 2:
      parent[key] = Array.from({ length: below(50) }, () => parent[key]);
      break;
    default:
      parent[key] = JSON.parse(HOSTILE_VALUES[below(HOSTILE_VALUES.length)] ?? 'null');
  }
}

const HOSTILE_KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__metadata__',
  '',
  '0',
  '\ud800',
];
/** As JSON, so that each use has its own. */
const HOSTILE_VALUES: readonly string[] = [
  'null',
  'true',
  '-1',
  '0',
  '0.5',
  '-0',
  '2147483648',
  '9007199254740992',
  '1e308',
  '1e999',
  '""',
  '"../../etc/passwd"',
  '"0x"',
  '"\\u0000\\u202e\\u001b[2J\\r\\n"',
  '"\\ud800"',
  '[]',
  '{}',
  '[[[[[[[[[[]]]]]]]]]]',
  '{"__proto__":{"polluted":1}}',
  JSON.stringify(`0x${'f'.repeat(64)}`),
  JSON.stringify('a'.repeat(2_000)),
  JSON.stringify('9'.repeat(200)),
  JSON.stringify(Array.from({ length: 300 }, (_, index) => index)),
  JSON.stringify(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, index]))),
];

const encode = (text: string) => new TextEncoder().encode(text);
const INTERESTING_BYTES = [0, 1, 0x7f, 0x80, 0xff, ...encode('{}[]":,.-+eE0\\\n\r\t &*#')];
const INTERESTING_INTEGERS = [0n, -1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 8n];
const INTERESTING_NUMBERS = [
  '-1 -0 0 1e999 -1e999 9007199254740993 18446744073709551616 4294967296 2147483648 0.5 1e-400 NaN 0x10 00 null',
]
  .flatMap((line) => line.split(' '))
  .concat('"__proto__"', '[]', '{}', '""', '9'.repeat(400))
  .map(encode);
const TOKENS = [
  '"__proto__":{"polluted":1},',
  '"constructor":{"prototype":{"polluted":1}},',
  '"toString":1,',
  '"__proto__":null,',
  '\ud83d\ude00\u202e\u0000',
  '\\u0000\\ud800',
  '[',
  '{"a":',
  '"',
  ',',
  ':',
  '../'.repeat(8),
  '%00%2e%2e%2f',
  '\r\nX-Injected: 1\r\n',
  '\u001b]0;title\u0007\u001b[2J',
  ' '.repeat(50),
  'a'.repeat(300),
]
  .map(encode)
  .concat(encode('['.repeat(1_000)), encode('{"a":'.repeat(300)), Uint8Array.of(0xff, 0xfe, 0xc0, 0x80));

function splice(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)]);
}

/** Replaces the decimal number that follows `at`. */
function otherNumber(bytes: Uint8Array, at: number, number: Uint8Array): Uint8Array {
  const isDigit = (index: number) => (bytes[index] ?? 0) >= 0x30 && (bytes[index] ?? 0) <= 0x39;
  let start = at;
  while (start < bytes.length && !isDigit(start)) start++;
  let end = start;
  while (isDigit(end)) end++;
  return splice(bytes, start, end - start, number);
}

/** Behind the next comma, bracket or brace, where something new may stand. */
function atToken(bytes: Uint8Array, at: number): number {
  for (let index = at; index < Math.min(bytes.length, at + 200); index++)
    if ([0x2c, 0x7b, 0x5b, 0x0a].includes(bytes[index] ?? 0)) return index + 1;
  return at;
}

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
