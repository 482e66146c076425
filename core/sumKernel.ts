/**
 * out[i] += w0*u0[i] + w1*u1[i] + w2*u2[i] + w3*u3[i] over one block, in 128-bit SIMD. A plain loop costs two
 * cycles a product whatever it is unrolled to (bounds check, conversion), 2.1 times a memcpy of the updates; this
 * costs half a cycle, so that copying the blocks into its memory dominates. The instructions are written out
 * below (https://webassembly.github.io/spec/core/binary/instructions.html): no other tool chain is needed.
 */

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

/** The few calls of WebAssembly's JavaScript interface that are needed; core is compiled without browser types. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Record<string, unknown> };
}

const OUT_BYTES = 8 * VALUES_PER_BLOCK;
const UPDATE_BYTES = 4 * VALUES_PER_BLOCK;
const PAGE = 65_536;

let kernel: SumKernel | null | undefined;

function compile(): SumKernel | null {
  const api = (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly;
  const bytes = moduleBytes();
  if (!api?.validate(bytes)) return null;
  let run: SumKernel['run'];
  const memory = new api.Memory({ initial: (OUT_BYTES + UPDATES_PER_PASS * UPDATE_BYTES) / PAGE });
  try {
    const { exports } = new api.Instance(new api.Module(bytes), { env: { memory } });
    run = exports['run'] as SumKernel['run'];
  } catch {
    return null; // A page whose content security policy forbids compilation adds with the plain loop.
  }
  return {
    out: new Float64Array(memory.buffer, 0, VALUES_PER_BLOCK),
    updates: Array.from(
      { length: UPDATES_PER_PASS },
      (_, k) => new Int32Array(memory.buffer, OUT_BYTES + k * UPDATE_BYTES, VALUES_PER_BLOCK),
    ),
    run,
  };
}

const I32 = 0x7f;
const F64 = 0x7c;
const V128 = 0x7b;

// Locals of the function: its four weights, two byte offsets that start at zero, the weights in both lanes.
const SUM_AT = UPDATES_PER_PASS;
const UPDATE_AT = SUM_AT + 1;
const LANES = UPDATE_AT + 1;

/** Two values are loaded, widened to float64, multiplied and added at a time, two such pairs an iteration. */
function moduleBytes(): Uint8Array {
  const code: number[] = [];
  for (let k = 0; k < UPDATES_PER_PASS; k++) code.push(...localGet(k), ...f64x2Splat, ...localSet(LANES + k));
  code.push(...loop);
  for (const pair of [0, 1]) {
    const product = (k: number) => [
      ...localGet(UPDATE_AT),
      ...load64Zero(OUT_BYTES + k * UPDATE_BYTES + 8 * pair),
      ...f64x2ConvertLowI32x4,
      ...localGet(LANES + k),
      ...f64x2Mul,
    ];
    code.push(...localGet(SUM_AT), ...localGet(SUM_AT), ...v128Load(16 * pair));
    for (let k = 0; k < UPDATES_PER_PASS; k += 2)
      code.push(...product(k), ...product(k + 1), ...f64x2Add, ...f64x2Add);
    code.push(...v128Store(16 * pair));
  }
  code.push(...localGet(SUM_AT), ...i32Const(32), ...i32Add, ...localSet(SUM_AT));
  code.push(...localGet(UPDATE_AT), ...i32Const(16), ...i32Add, ...localTee(UPDATE_AT));
  code.push(...i32Const(UPDATE_BYTES), ...i32LessUnsigned, ...branchIfToLoop, ...end, ...end);

  const body = [2, 2, I32, UPDATES_PER_PASS, V128, ...code];
  return new Uint8Array([
    ...HEADER,
    ...section(1, [1, 0x60, UPDATES_PER_PASS, ...Array<number>(UPDATES_PER_PASS).fill(F64), 0]),
    ...section(2, [1, ...name('env'), ...name('memory'), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('run'), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const loop = [0x03, 0x40];
const branchIfToLoop = [0x0d, 0];
const end = [0x0b];
const i32Add = [0x6a];
const i32LessUnsigned = [0x49];
const f64x2Splat = simd(0x14);
const f64x2Add = simd(0xf0);
const f64x2Mul = simd(0xf2);
const f64x2ConvertLowI32x4 = simd(0xfe);

function localGet(index: number): number[] {
  return [0x20, index];
}
function localSet(index: number): number[] {
  return [0x21, index];
}
function localTee(index: number): number[] {
  return [0x22, index];
}
function i32Const(value: number): number[] {
  return [0x41, ...signed(value)];
}
function v128Load(offset: number): number[] {
  return [...simd(0x00), 3, ...unsigned(offset)];
}
function v128Store(offset: number): number[] {
  return [...simd(0x0b), 3, ...unsigned(offset)];
}
function load64Zero(offset: number): number[] {
  return [...simd(0x5d), 3, ...unsigned(offset)];
}
function simd(instruction: number): number[] {
  return [0xfd, ...unsigned(instruction)];
}

function section(id: number, contents: number[]): number[] {
  return [id, ...unsigned(contents.length), ...contents];
}
function name(text: string): number[] {
  return [text.length, ...Array.from(text, (letter) => letter.charCodeAt(0))];
}

/** LEB128: seven bits a byte, lowest first. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}
function signed(value: number): number[] {
  return value < 64 ? [value] : [(value & 127) | 128, ...signed(value >>> 7)];
}
