/**
 * SHA-256 (FIPS 180-4) of four messages at once, one in each 32-bit lane of 128-bit SIMD. A tree is tens of
 * thousands of short messages, for which a call of the platform's SHA-256 costs several times its hashing.
 */
import * as wasm from './webAssembly.js';

export interface Sha256Kernel {
  /**
   * H(type ‖ message) for every `size` bytes of `messages`, 32 bytes each in one array.
   * @param type the first byte of every preimage
   * @param size a positive multiple of 64, at most 8,192; `messages` holds a whole number of them
   */
  each(type: number, messages: Uint8Array, size: number): Uint8Array;
}

/** The kernel, compiled on first use; null where the engine has no WebAssembly SIMD or is not allowed to compile. */
export function sha256Kernel(): Sha256Kernel | null {
  if (kernel === undefined) kernel = compile();
  return kernel;
}

const LANES = 4;
const BLOCK = 64;
const HASH = 32;
const VECTOR = 16;
const CONSTANTS_AT = 0;
const INITIAL_AT = CONSTANTS_AT + 64 * VECTOR;
const MESSAGES_AT = 2_048;
/** Few enough bytes for a first-level cache, enough for the calls not to count. */
const ROOM = 32_768;
const HASHES_AT = MESSAGES_AT + ROOM;

let kernel: Sha256Kernel | null | undefined;

function compile(): Sha256Kernel | null {
  const module = wasm.instantiate<(groups: number, size: number, type: number) => void>({
    pages: 1,
    parameters: [wasm.I32, wasm.I32, wasm.I32],
    locals: [
      [FIRST_VECTOR - 3, wasm.I32],
      [VECTORS, wasm.V128],
    ],
    code: kernelCode(),
  });
  if (!module) return null;
  const { memory, run } = module;
  const tables = new Int32Array(memory, CONSTANTS_AT, (MESSAGES_AT - CONSTANTS_AT) / 4);
  const primes = firstPrimes(64);
  const words = sequence(
    primes.map((prime) => fraction(Math.cbrt(prime))),
    primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))),
  );
  words.forEach((word, i) => tables.fill(word, LANES * i, LANES * (i + 1)));
  const room = new Uint8Array(memory, MESSAGES_AT, ROOM);
  return {
    each(type, messages, size) {
      const count = messages.length / size;
      const atOnce = Math.floor(ROOM / size / LANES) * LANES;
      const hashes = new Uint8Array(HASH * count);
      for (let from = 0; from < count; from += atOnce) {
        const to = Math.min(from + atOnce, count);
        room.set(messages.subarray(size * from, size * to));
        // What an earlier call left in the last lanes is hashed with them and not kept.
        run(Math.ceil((to - from) / LANES) * LANES, size, type);
        hashes.set(new Uint8Array(memory, HASHES_AT, HASH * (to - from)), HASH * from);
      }
      return hashes;
    },
  };
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}

/** The first 32 bits behind the point. */
function fraction(value: number): number {
  return Math.floor((value - Math.floor(value)) * 2 ** 32);
}

// Locals: the parameters, then places in memory, then vectors of one word of each lane.
const [COUNT, SIZE, TYPE] = [0, 1, 2];
const [MESSAGE, LAST, START, HASH_AT, CONSTANT_AT, LANE] = [3, 4, 5, 6, 7, 8];
const FIRST_VECTOR = LANE + LANES;
const WORDS = FIRST_VECTOR;
const STATE = WORDS + 16;
const WORKING = STATE + 8;
const PAIRS = WORKING + 8;
const VECTORS = PAIRS + 2 - FIRST_VECTOR;

const { localGet: get, localSet: set, localTee: tee, sequence } = wasm;

/** `count` messages (a multiple of four) from MESSAGES_AT; their hashes to HASHES_AT. */
function kernelCode(): number[] {
  return sequence(
    sequence(wasm.i32Const(MESSAGES_AT), set(MESSAGE), wasm.i32Const(HASHES_AT), set(HASH_AT)),
    sequence(get(TYPE), wasm.i32Const(24), wasm.i32ShiftLeft, set(TYPE)),
    wasm.loop,
    lanes((lane) =>
      sequence(
        get(lane === 0 ? MESSAGE : LANE + lane - 1),
        lane === 0 ? [] : sequence(get(SIZE), wasm.i32Add),
        set(LANE + lane),
      ),
    ),
    sequence(get(LANE), set(START), get(LANE), get(SIZE), wasm.i32Add, set(LAST)),
    eight((i) => sequence(wasm.i32Const(0), wasm.v128Load(INITIAL_AT + VECTOR * i), set(STATE + i))),

    wasm.loop,
    sequence(get(LANE), get(LAST), wasm.i32LessUnsigned),
    sequence(wasm.when, loadWords(), wasm.otherwise, paddedWords(), wasm.end),
    compressBlock(),
    lanes((lane) => sequence(get(LANE + lane), wasm.i32Const(BLOCK), wasm.i32Add, set(LANE + lane))),
    sequence(get(LANE), get(LAST), wasm.i32LessOrEqualUnsigned, wasm.branchIf),
    wasm.end,

    storeHashes(),
    sequence(get(HASH_AT), wasm.i32Const(LANES * HASH), wasm.i32Add, set(HASH_AT)),
    // The last lane stands a block behind its message's end: there begins the next message.
    sequence(get(LANE + LANES - 1), wasm.i32Const(BLOCK), wasm.i32Subtract, set(MESSAGE)),
    sequence(get(COUNT), wasm.i32Const(LANES), wasm.i32Subtract, tee(COUNT), wasm.branchIf),
    wasm.end,
    wasm.end,
  );
}

/** Sixteen words of a block of each lane. The type byte moves every message up by one byte. */
function loadWords(): number[] {
  const code: number[] = [];
  for (let word = 0; word < 16; word += 4)
    code.push(
      ...lanes((lane) =>
        sequence(
          sequence(get(LANE + lane), wasm.i32Const(1), wasm.i32Subtract, wasm.v128Load(4 * word)),
          sequence(tee(WORKING), get(WORKING), wasm.i8x16Shuffle(SWAPPED), set(WORDS + word + lane)),
        ),
      ),
      ...transpose(WORDS + word),
    );
  const withType = sequence(
    sequence(get(WORDS), wasm.i32Const(8), wasm.i32x4ShiftLeft, wasm.i32Const(8), wasm.i32x4ShiftRight),
    sequence(get(TYPE), wasm.i32x4Splat, wasm.v128Or, set(WORDS)),
  );
  return sequence(code, get(LANE), get(START), wasm.i32Equal, wasm.when, withType, wasm.end);
}

/** The last block: the message's last byte, the bit that ends it, zeros, its length in bits. */
function paddedWords(): number[] {
  const lastByte = (lane: number) =>
    sequence(get(LANE + lane), wasm.i32Const(1), wasm.i32Subtract, wasm.i32Load8(0));
  const code = sequence(lastByte(0), wasm.i32x4Splat);
  for (let lane = 1; lane < LANES; lane++) code.push(...lastByte(lane), ...wasm.i32x4ReplaceLane(lane));
  code.push(...wasm.i32Const(24), ...wasm.i32x4ShiftLeft);
  code.push(...wasm.i32Const(0x800000), ...wasm.i32x4Splat, ...wasm.v128Or, ...set(WORDS));
  for (let word = 1; word < 15; word++)
    code.push(...wasm.i32Const(0), ...wasm.i32x4Splat, ...set(WORDS + word));
  const bits = sequence(get(SIZE), wasm.i32Const(1), wasm.i32Add, wasm.i32Const(3), wasm.i32ShiftLeft);
  return sequence(code, bits, wasm.i32x4Splat, set(WORDS + 15));
}

/** Sixteen rounds over the block's words, then three times sixteen over what the schedule makes of them. */
function compressBlock(): number[] {
  const later: number[] = [];
  for (let i = 0; i < 16; i++) later.push(...extendSchedule(i), ...round(i));
  const first: number[] = [];
  for (let i = 0; i < 16; i++) first.push(...round(i));
  return sequence(
    eight((i) => sequence(get(STATE + i), set(WORKING + i))),
    sequence(get(WORKING + 1), get(WORKING + 2), wasm.v128Xor, set(PAIRS + 1)),
    sequence(wasm.i32Const(CONSTANTS_AT), set(CONSTANT_AT)),
    first,
    wasm.loop,
    sequence(get(CONSTANT_AT), wasm.i32Const(16 * VECTOR), wasm.i32Add, set(CONSTANT_AT)),
    later,
    sequence(
      get(CONSTANT_AT),
      wasm.i32Const(CONSTANTS_AT + 48 * VECTOR),
      wasm.i32LessUnsigned,
      wasm.branchIf,
    ),
    wasm.end,
    eight((i) => sequence(get(STATE + i), get(WORKING + i), wasm.i32x4Add, set(STATE + i))),
  );
}

function extendSchedule(i: number): number[] {
  const word = (ahead: number) => WORDS + ((i + ahead) % 16);
  return sequence(
    sequence(get(word(0)), get(word(9)), wasm.i32x4Add),
    sequence(rotations(word(1), [7, 18], 3), wasm.i32x4Add),
    sequence(rotations(word(14), [17, 19], 10), wasm.i32x4Add, set(word(0))),
  );
}

/** One round. Nothing is moved: each round calls the variables by the next names. */
function round(i: number): number[] {
  const [a, b, , d, e, f, g, h] = Array.from(
    { length: 8 },
    (_, place) => WORKING + ((place + 16 - i) % 8),
  ) as [number, number, number, number, number, number, number, number];
  const [pair, pairBefore] = [PAIRS + (i % 2), PAIRS + ((i + 1) % 2)];
  return sequence(
    sequence(get(h), get(WORDS + i), wasm.i32x4Add),
    sequence(get(CONSTANT_AT), wasm.v128Load(VECTOR * i), wasm.i32x4Add),
    sequence(rotations(e, [6, 11, 25]), wasm.i32x4Add),
    sequence(get(f), get(g), get(e), wasm.v128Select, wasm.i32x4Add, tee(h)),
    sequence(get(d), wasm.i32x4Add, set(d)),
    // Majority(a, b, c) = b ^ ((a ^ b) & (b ^ c)), and b ^ c is the last round's a ^ b.
    sequence(get(a), get(b), wasm.v128Xor, tee(pair), get(pairBefore), wasm.v128And),
    sequence(get(b), wasm.v128Xor, get(h), wasm.i32x4Add),
    sequence(rotations(a, [2, 13, 22]), wasm.i32x4Add, set(h)),
  );
}

/** The exclusive or of a word rotated right by each of `amounts`, and shifted right by `shift` where there is one. */
function rotations(word: number, amounts: readonly number[], shift?: number): number[] {
  const shifted = (by: number, instruction: wasm.Code) => sequence(get(word), wasm.i32Const(by), instruction);
  const terms = amounts.flatMap((by) => [
    shifted(by, wasm.i32x4ShiftRight),
    shifted(32 - by, wasm.i32x4ShiftLeft),
  ]);
  if (shift !== undefined) terms.push(shifted(shift, wasm.i32x4ShiftRight));
  return terms.flatMap((term, i) => (i === 0 ? term : sequence(term, wasm.v128Xor)));
}

function storeHashes(): number[] {
  const code = sequence(transpose(STATE), transpose(STATE + 4));
  for (let lane = 0; lane < LANES; lane++)
    for (const half of [0, 1]) {
      const row = STATE + 4 * half + lane;
      code.push(...get(HASH_AT), ...get(row), ...get(row), ...wasm.i8x16Shuffle(SWAPPED));
      code.push(...wasm.v128Store(HASH * lane + VECTOR * half));
    }
  return code;
}

/** Four vectors as the rows of a matrix become its columns. */
function transpose(at: number): number[] {
  const pick = (left: number, right: number, words: readonly number[]) =>
    sequence(
      sequence(get(left), get(right)),
      wasm.i8x16Shuffle(words.flatMap((word) => [4 * word, 4 * word + 1, 4 * word + 2, 4 * word + 3])),
    );
  const [low, high, lowHalves, highHalves] = [
    [0, 4, 1, 5],
    [2, 6, 3, 7],
    [0, 1, 4, 5],
    [2, 3, 6, 7],
  ];
  return sequence(
    sequence(pick(at, at + 1, low), set(WORKING), pick(at, at + 1, high), set(WORKING + 1)),
    sequence(pick(at + 2, at + 3, low), set(WORKING + 2), pick(at + 2, at + 3, high), set(WORKING + 3)),
    sequence(
      pick(WORKING, WORKING + 2, lowHalves),
      set(at),
      pick(WORKING, WORKING + 2, highHalves),
      set(at + 1),
    ),
    sequence(pick(WORKING + 1, WORKING + 3, lowHalves), set(at + 2)),
    sequence(pick(WORKING + 1, WORKING + 3, highHalves), set(at + 3)),
  );
}

/** The bytes of each word in the other order: SHA-256 is big-endian. */
const SWAPPED = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

function lanes(code: (lane: number) => number[]): number[] {
  return Array.from({ length: LANES }, (_, lane) => code(lane)).flat();
}
function eight(code: (i: number) => number[]): number[] {
  return Array.from({ length: 8 }, (_, i) => code(i)).flat();
}
