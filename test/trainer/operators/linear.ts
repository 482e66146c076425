import * as fc from 'fast-check';
import { elementCount } from '#trainer/onnx/tensor.js';
import { drawn, few, flag, operator, seed, size, type Case } from './case.js';

/** For every rule of the table: shapes and attributes drawn at random. */
export const linear: Record<string, fc.Arbitrary<Case>> = {
  Add: fc
    .record({
      shape: fc.array(size, { minLength: 1, maxLength: 4 }),
      ones: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      cut: fc.nat(3),
      seed,
    })
    .map(({ shape, ones, cut, seed }) => {
      const a = shape.map((dim, axis) => (ones[axis] ? 1 : dim));
      const b = shape.map((dim, axis) => (ones[axis + 4] ? 1 : dim)).slice(cut);
      return operator('Add', { a, b }, {}, seed);
    }),
  Gemm: fc
    .record({
      m: size,
      k: size,
      n: size,
      transA: flag,
      transB: flag,
      alpha: fc.constantFrom(1, 0.5, 2),
      beta: fc.constantFrom(1, 0.5),
      c: fc.nat(5),
      seed,
    })
    .map(({ m, k, n, transA, transB, alpha, beta, c, seed }) => {
      const bias = [undefined, [n], [1, n], [m, n], [m, 1], [1]][c];
      const inputs = {
        a: transA ? [k, m] : [m, k],
        b: transB ? [n, k] : [k, n],
        ...(bias ? { c: bias } : {}),
      };
      return operator(
        'Gemm',
        inputs,
        { transA, transB, alpha: { float: alpha }, beta: { float: beta } },
        seed,
      );
    }),
  MatMul: fc
    .record({
      m: size,
      k: size,
      n: size,
      left: fc.array(few, { maxLength: 2 }),
      right: fc.constantFrom('none', 'same', 'one'),
      vector: fc.constantFrom('neither', 'neither', 'left', 'right', 'both'),
      seed,
    })
    .map(({ m, k, n, left, right, vector, seed }) => {
      if (vector !== 'neither') {
        const inputs = {
          a: vector === 'right' ? [...left, m, k] : [k],
          b: vector === 'left' ? [...left, k, n] : [k],
        };
        return operator('MatMul', inputs, {}, seed);
      }
      const lead = right === 'none' ? [] : right === 'same' ? left : left.map(() => 1);
      return operator('MatMul', { a: [...left, m, k], b: [...lead, k, n] }, {}, seed);
    }),
  Conv: fc
    .record({
      rank: fc.integer({ min: 1, max: 3 }),
      batch: few,
      group: few,
      depth: few,
      filters: few,
      kernel: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 3 }),
      strides: fc.array(few, { minLength: 3, maxLength: 3 }),
      dilations: fc.array(few, { minLength: 3, maxLength: 3 }),
      pads: fc.array(flag, { minLength: 6, maxLength: 6 }),
      extra: fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
      bias: fc.boolean(),
      seed,
    })
    .map((drawn) => {
      const { rank, batch, group, depth, filters, extra, bias, seed } = drawn;
      const [kernel, strides, dilations, pads] = [
        drawn.kernel.slice(0, rank),
        drawn.strides.slice(0, rank),
        drawn.dilations.slice(0, rank),
        drawn.pads.slice(0, 2 * rank),
      ];
      const image = kernel.map(
        (width, axis) => (dilations[axis] ?? 1) * (width - 1) + 1 + (extra[axis] ?? 0),
      );
      const inputs = {
        x: [batch, group * depth, ...image],
        w: [group * filters, depth, ...kernel],
        ...(bias ? { b: [group * filters] } : {}),
      };
      return operator('Conv', inputs, { kernel_shape: kernel, strides, dilations, pads, group }, seed);
    }),
  Flatten: fc
    .record({
      shape: fc.array(size, { minLength: 1, maxLength: 4 }),
      axis: fc.integer({ min: -4, max: 4 }),
      seed,
    })
    .map(({ shape, axis, seed }) =>
      operator(
        'Flatten',
        { x: shape },
        { axis: Math.max(-shape.length, Math.min(shape.length, axis)) },
        seed,
      ),
    ),
  Identity: fc
    .record({ shape: fc.array(size, { maxLength: 4 }), seed })
    .map(({ shape, seed }) => operator('Identity', { x: shape }, {}, seed)),
  MaxPool: fc
    .record({
      rank: few,
      batch: few,
      channels: few,
      kernel: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 2 }),
      extra: fc.array(fc.nat(4), { minLength: 2, maxLength: 2 }),
      seed,
    })
    .map(({ rank, batch, channels, kernel: both, extra, seed }) => {
      const kernel = both.slice(0, rank);
      const image = kernel.map((width, axis) => width + (extra[axis] ?? 0));
      return operator(
        'MaxPool',
        { x: [batch, channels, ...image] },
        { kernel_shape: kernel, strides: kernel },
        seed,
      );
    }),
  Relu: fc
    .record({ shape: fc.array(size, { maxLength: 4 }), seed })
    .map(({ shape, seed }) => operator('Relu', { x: shape }, {}, seed)),
  Reshape: fc
    .record({ shape: fc.array(size, { minLength: 1, maxLength: 4 }), form: fc.nat(2), seed })
    .map(({ shape, form, seed }) => ({
      inputs: { x: shape },
      seed,
      build(builder) {
        const to = [[-1], [0, -1], [1, elementCount(shape)]][form] ?? [];
        builder.node('Reshape', ['x', builder.ints([to.length], to)], {}, 'y');
      },
    })),
};

export const overlapping = drawn(
  fc.tuple(few, fc.integer({ min: 2, max: 3 }), few, flag, flag, fc.nat(3)),
  ([rank, kernel, stride, pad, ceil, extra]) => {
    const many = (value: number) => Array<number>(rank).fill(value);
    return operator(
      'MaxPool',
      { x: [2, 2, ...many(kernel + extra)] },
      {
        kernel_shape: many(kernel),
        strides: many(stride),
        pads: [...many(pad), ...many(pad)],
        ceil_mode: ceil,
      },
      0,
    );
  },
);
