/**
 * out[i] += w0*u0[i] + w1*u1[i] + w2*u2[i] + w3*u3[i] over one block, in 128-bit SIMD. A plain loop costs two
 * cycles a product whatever it is unrolled to (bounds check, conversion), 2.1 times a memcpy of the updates; this
 * costs half a cycle, so that copying the blocks into its memory dominates.
 */
import * as wasm from './webAssembly.js';

export interface SumKernel {
  /** Room for one block of sums. */
  readonly out: Float64Array;
  /** Room for one block of each of the four updates. */
  readonly updates: readonly Int32Array[];
  /** Adds all four weighted updates to `out`, over the whole block. */
  run(w0: number, w1: number, w2: number, w3: number): void;
}

export const UPDATES_PER_PASS = 4;
/** Values a block: sums and updates together take 768 KiB and stay within a second-level cache. */
export const VALUES_PER_BLOCK = 32_768;

/** The kernel, compiled on first use; null where the engine has no WebAssembly SIMD or is not allowed to compile. */
export function sumKernel(): SumKernel | null {
  if (kernel === undefined) kernel = compile();
  return kernel;
}

const OUT_BYTES = 8 * VALUES_PER_BLOCK;
const UPDATE_BYTES = 4 * VALUES_PER_BLOCK;

let kernel: SumKernel | null | undefined;

function compile(): SumKernel | null {
  const module = wasm.instantiate<SumKernel['run']>({
    pages: (OUT_BYTES + UPDATES_PER_PASS * UPDATE_BYTES) / wasm.PAGE_BYTES,
    parameters: Array<number>(UPDATES_PER_PASS).fill(wasm.F64),
    locals: [
      [2, wasm.I32],
      [UPDATES_PER_PASS, wasm.V128],
    ],
    code: kernelCode(),
  });
  return (
    module && {
      out: new Float64Array(module.memory, 0, VALUES_PER_BLOCK),
      updates: Array.from(
        { length: UPDATES_PER_PASS },
        (_, k) => new Int32Array(module.memory, OUT_BYTES + k * UPDATE_BYTES, VALUES_PER_BLOCK),
      ),
      run: module.run,
    }
  );
}

// Locals of the function: its four weights, two byte offsets that start at zero, the weights in both lanes.
const SUM_AT = UPDATES_PER_PASS;
const UPDATE_AT = SUM_AT + 1;
const LANES = UPDATE_AT + 1;

/** Two values are loaded, widened to float64, multiplied and added at a time, two such pairs an iteration. */
function kernelCode(): number[] {
  const code: number[] = [];
  const { localGet, localSet, localTee } = wasm;
  for (let k = 0; k < UPDATES_PER_PASS; k++)
    code.push(...localGet(k), ...wasm.f64x2Splat, ...localSet(LANES + k));
  code.push(...wasm.loop);
  for (const pair of [0, 1]) {
    const product = (k: number) =>
      wasm.sequence(
        localGet(UPDATE_AT),
        wasm.v128Load64Zero(OUT_BYTES + k * UPDATE_BYTES + 8 * pair),
        wasm.f64x2ConvertLowI32x4,
        localGet(LANES + k),
        wasm.f64x2Multiply,
      );
    code.push(...localGet(SUM_AT), ...localGet(SUM_AT), ...wasm.v128Load(16 * pair));
    for (let k = 0; k < UPDATES_PER_PASS; k += 2)
      code.push(...product(k), ...product(k + 1), ...wasm.f64x2Add, ...wasm.f64x2Add);
    code.push(...wasm.v128Store(16 * pair));
  }
  code.push(...localGet(SUM_AT), ...wasm.i32Const(32), ...wasm.i32Add, ...localSet(SUM_AT));
  code.push(...localGet(UPDATE_AT), ...wasm.i32Const(16), ...wasm.i32Add, ...localTee(UPDATE_AT));
  code.push(
    ...wasm.i32Const(UPDATE_BYTES),
    ...wasm.i32LessUnsigned,
    ...wasm.branchIf,
    ...wasm.end,
    ...wasm.end,
  );
  return code;
}
