/**
 * Modules of one function, written as their bytes (https://webassembly.github.io/spec/core/binary/): SIMD is the
 * only way to several numbers an instruction from JavaScript, and so no other tool chain is needed.
 */

/** The function `run` over `memory`; null where the engine has no SIMD or is not allowed to compile. */
export function instantiate<Run>(module: {
  pages: number;
  parameters: readonly number[];
  locals: readonly Locals[];
  code: Code;
}): { memory: ArrayBuffer; run: Run } | null {
  const api = (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly;
  const bytes = moduleBytes(module.parameters, module.locals, module.code);
  if (!api?.validate(bytes)) return null;
  const memory = new api.Memory({ initial: module.pages });
  try {
    const { exports } = new api.Instance(new api.Module(bytes), { env: { memory } });
    return { memory: memory.buffer, run: exports['run'] as Run };
  } catch {
    return null; // A page whose content security policy forbids compilation does without.
  }
}

/** Bytes of instructions. */
export type Code = readonly number[];
/** So many locals of a type, numbered on from the parameters; they start at zero. */
export type Locals = readonly [count: number, type: number];

/** Instructions one after the other. */
export function sequence(...instructions: readonly Code[]): number[] {
  return instructions.flat();
}

export const PAGE_BYTES = 65_536;
export const I32 = 0x7f;
export const F64 = 0x7c;
export const V128 = 0x7b;

export const loop = [0x03, 0x40];
export const when = [0x04, 0x40];
export const otherwise = [0x05];
export const end = [0x0b];
/** Back to the beginning of the innermost loop. */
export const branchIf = [0x0d, 0];

export const localGet = (index: number) => [0x20, ...unsigned(index)];
export const localSet = (index: number) => [0x21, ...unsigned(index)];
export const localTee = (index: number) => [0x22, ...unsigned(index)];
/** Not for negative values. */
export const i32Const = (value: number) => [0x41, ...signed(value)];
export const i32Load8 = (offset: number) => [0x2d, 0, ...unsigned(offset)];
export const i32Equal = [0x46];
export const i32LessUnsigned = [0x49];
export const i32LessOrEqualUnsigned = [0x4d];
export const i32Add = [0x6a];
export const i32Subtract = [0x6b];
export const i32ShiftLeft = [0x74];

export const v128Load = (offset: number) => [...simd(0x00), 3, ...unsigned(offset)];
export const v128Store = (offset: number) => [...simd(0x0b), 3, ...unsigned(offset)];
export const v128Load64Zero = (offset: number) => [...simd(0x5d), 3, ...unsigned(offset)];
export const v128And = simd(0x4e);
export const v128Or = simd(0x50);
export const v128Xor = simd(0x51);
/** a where the third operand's bits are set, b elsewhere. */
export const v128Select = simd(0x52);
/** Sixteen bytes out of two operands' thirty-two. */
export const i8x16Shuffle = (bytes: readonly number[]) => [...simd(0x0d), ...bytes];
export const i32x4Splat = simd(0x11);
export const i32x4ReplaceLane = (lane: number) => [...simd(0x1c), lane];
export const i32x4ShiftLeft = simd(0xab);
export const i32x4ShiftRight = simd(0xad);
export const i32x4Add = simd(0xae);
/** Of signed values. */
export const i32x4Minimum = simd(0xb6);
export const i32x4Maximum = simd(0xb8);
export const f64x2Splat = simd(0x14);
export const f64x2Add = simd(0xf0);
export const f64x2Multiply = simd(0xf2);
export const f64x2ConvertLowI32x4 = simd(0xfe);

/** The few calls of WebAssembly's JavaScript interface that are needed; core is compiled without browser types. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Record<string, unknown> };
}

function moduleBytes(parameters: readonly number[], locals: readonly Locals[], code: Code): Uint8Array {
  const body = [
    ...unsigned(locals.length),
    ...locals.flatMap(([count, type]) => [...unsigned(count), type]),
    ...code,
  ];
  return new Uint8Array([
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, [1, 0x60, parameters.length, ...parameters, 0]),
    ...section(2, [1, ...name('env'), ...name('memory'), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name('run'), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
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
