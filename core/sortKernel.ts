/**
 * Sorts many columns at once: rows of int32, in which a pass puts the smaller of two rows' values into one and the larger
 * into the other, four columns an instruction. A sorting network is a list of such passes that is the same for every
 * input, so nothing branches on the values.
 */
import * as wasm from './webAssembly.js';

/** Rows of int32 and the pass over two of them. */
export interface Rows {
  readonly rows: readonly Int32Array[];
  /** Afterwards no value of row `low` is above that of row `high` in its column. */
  exchange(low: number, high: number): void;
}

/** Columns of a block: rows of up to 256 updates then stay within a second-level cache. */
const COLUMNS = 1_024;
/** All rows together. */
const MOST_VALUES = 2 ** 18;

/** Room for so many rows. They share one memory: who takes rows anew must not use the old ones. */
export function takeRows(count: number): Rows {
  kernel ??= compile();
  const columns = Math.min(COLUMNS, 4 * Math.floor(MOST_VALUES / (4 * count)));
  const bytes = 4 * columns;
  const { memory, run } = kernel;
  const rows = Array.from({ length: count }, (_, row) => new Int32Array(memory, row * bytes, columns));
  if (run === null) return plainRows(rows);
  return { rows, exchange: (low, high) => run(low * bytes, high * bytes, (low + 1) * bytes) };
}

/** The same without WebAssembly. */
export function plainRows(rows: readonly Int32Array[]): Rows {
  const none = new Int32Array(0);
  return {
    rows,
    exchange(low, high) {
      const [a = none, b = none] = [rows[low], rows[high]];
      for (let i = 0; i < a.length; i++) {
        const [x = 0, y = 0] = [a[i], b[i]];
        a[i] = x < y ? x : y;
        b[i] = x < y ? y : x;
      }
    },
  };
}

/**
 * Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 5.2.2, algorithm M) of `count` rows, without the
 * passes that cannot change rows `from` to `to`.
 */
export function sortingNetwork(count: number, [from, to]: readonly [number, number]): [number, number][] {
  const passes: [number, number][] = [];
  for (let p = 1; p < count; p *= 2)
    for (let k = p; k >= 1; k /= 2)
      for (let j = k % p; j + k < count; j += 2 * k)
        for (let i = j; i < Math.min(j + k, count - k); i++)
          if (Math.floor(i / (2 * p)) === Math.floor((i + k) / (2 * p))) passes.push([i, i + k]);
  const needed = new Set(Array.from({ length: to - from }, (_, i) => from + i));
  const useful = passes.toReversed().filter(([low, high]) => {
    if (!needed.has(low) && !needed.has(high)) return false;
    needed.add(low).add(high);
    return true;
  });
  return useful.toReversed();
}

type Kernel = { memory: ArrayBuffer; run: ((low: number, high: number, end: number) => void) | null };
let kernel: Kernel | undefined;

function compile(): Kernel {
  const pages = (4 * MOST_VALUES) / wasm.PAGE_BYTES;
  const module = wasm.instantiate<NonNullable<Kernel['run']>>({
    pages,
    parameters: [wasm.I32, wasm.I32, wasm.I32],
    locals: [[2, wasm.V128]],
    code: kernelCode(),
  });
  return module ?? { memory: new ArrayBuffer(pages * wasm.PAGE_BYTES), run: null };
}

// Locals of the function: the byte offsets of both rows and the end of the first, and what was loaded of each.
const [LOW, HIGH, END, A, B] = [0, 1, 2, 3, 4];

function kernelCode(): number[] {
  const { localGet, localSet, localTee } = wasm;
  const next = (offset: number) =>
    wasm.sequence(localGet(offset), wasm.i32Const(16), wasm.i32Add, localTee(offset));
  return wasm.sequence(
    wasm.loop,
    localGet(LOW),
    localGet(LOW),
    wasm.v128Load(0),
    localTee(A),
    localGet(HIGH),
    wasm.v128Load(0),
    localTee(B),
    wasm.i32x4Minimum,
    wasm.v128Store(0),
    localGet(HIGH),
    localGet(A),
    localGet(B),
    wasm.i32x4Maximum,
    wasm.v128Store(0),
    next(HIGH),
    localSet(HIGH),
    next(LOW),
    localGet(END),
    wasm.i32LessUnsigned,
    wasm.branchIf,
    wasm.end,
    wasm.end,
  );
}
