import * as fc from 'fast-check';
import {
  alongAxis,
  drawn,
  few,
  flag,
  operator,
  positive,
  reduction,
  shape,
  size,
  small,
  type Case,
} from './case.js';

/** Products, pools, reductions and norms. */
export const reducing: Record<string, fc.Arbitrary<Case>> = {
  Einsum: drawn(
    fc.tuple(
      size,
      size,
      size,
      fc.constantFrom(
        'ij,jk->ik',
        'bij,bkj->bki',
        'ij,ij->i',
        'i,j->ij',
        'bij,bk->bk',
        'ij, jk',
        '...ij,jk->...ik',
        'b...,b...->...',
        '...i,...i',
        'bij->ib',
      ),
    ),
    ([a, b, c, equation]) => {
      // An ellipsis stands for two axes.
      const sizes: Record<string, number[]> = { i: [a], j: [b], k: [c], b: [2], '.': [c, 2] };
      const factors = equation.replaceAll('...', '.').split('->')[0]?.split(',') ?? [];
      const inputs = factors.map((letters, at) => [
        'ab'[at] ?? '',
        [...letters.trim()].flatMap((letter) => sizes[letter] ?? []),
      ]);
      return {
        ...operator('Einsum', Object.fromEntries(inputs), { equation }, 0),
        domain: small,
        curved: true,
      };
    },
  ),
  ConvTranspose: drawn(
    fc.tuple(
      few,
      few,
      few,
      few,
      few,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      flag,
      fc.boolean(),
    ),
    ([rank, group, depth, filters, stride, kernel, image, pad, bias]) => {
      const many = (value: number) => Array<number>(rank).fill(value);
      const pads = kernel > 1 ? pad : 0;
      const padding = { pads: [...many(pads), ...many(pads)], output_padding: many(stride > 1 ? 1 : 0) };
      const inputs = {
        x: [2, group * depth, ...many(image + 1)],
        w: [group * depth, filters, ...many(kernel)],
        ...(bias ? { b: [group * filters] } : {}),
      };
      return {
        ...operator(
          'ConvTranspose',
          inputs,
          { kernel_shape: many(kernel), strides: many(stride), group, ...padding },
          0,
        ),
        domain: small,
        curved: true,
      };
    },
  ),
  AveragePool: drawn(
    fc.tuple(few, fc.integer({ min: 1, max: 3 }), few, flag, flag, flag, fc.nat(3)),
    ([rank, kernel, stride, pad, count, ceil, extra]) => {
      const many = (value: number) => Array<number>(rank).fill(value);
      const pads = kernel > 1 ? pad : 0;
      return operator(
        'AveragePool',
        { x: [2, 2, ...many(kernel + extra)] },
        {
          kernel_shape: many(kernel),
          strides: many(stride),
          pads: [...many(pads), ...many(pads)],
          count_include_pad: count,
          ceil_mode: ceil,
        },
        0,
      );
    },
  ).map((drawn) => ({ ...drawn, curved: true })),
  GlobalAveragePool: drawn(fc.tuple(size, size, size), ([n, h, w]) =>
    operator('GlobalAveragePool', { x: [n, 2, h, w] }, {}, 0),
  ),
  GlobalMaxPool: drawn(fc.tuple(size, size, size), ([n, h, w]) =>
    operator('GlobalMaxPool', { x: [n, 2, h, w] }, {}, 0),
  ),
  ...Object.fromEntries(
    ['Sum', 'Mean', 'Max', 'Min', 'L1', 'SumSquare', 'LogSumExp'].map((name) => [
      `Reduce${name}`,
      reduction(`Reduce${name}`),
    ]),
  ),
  ReduceL2: reduction('ReduceL2', positive),
  ReduceLogSum: reduction('ReduceLogSum', positive),
  ReduceProd: reduction('ReduceProd', (value) => 0.8 + Math.abs(value) / 64),
  CumSum: drawn(fc.tuple(shape, fc.nat(3), flag, flag), ([shape, axis, exclusive, reverse]) => ({
    inputs: { x: shape },
    build: (builder) =>
      void builder.node(
        'CumSum',
        ['x', builder.ints([], [axis % shape.length])],
        { exclusive, reverse },
        'y',
      ),
  })),
  Softmax: alongAxis('Softmax'),
  LogSoftmax: alongAxis('LogSoftmax'),
  LayerNormalization: drawn(
    fc.tuple(size, size, size, fc.boolean(), fc.constantFrom(-1, -2, 1)),
    ([a, b, c, bias, axis]) => {
      const normal = axis === -1 ? [c + 1] : [b, c + 1];
      return {
        ...operator(
          'LayerNormalization',
          { x: [a, b, c + 1], scale: normal, ...(bias ? { bias: normal } : {}) },
          { axis },
          0,
        ),
        domain: small,
        curved: true,
      };
    },
  ),
  RMSNormalization: drawn(fc.tuple(size, size), ([a, b]) => ({
    ...operator('RMSNormalization', { x: [a, b + 1], scale: [b + 1] }, {}, 0),
    opset: 23,
    domain: (value, input) => (input === 'x' ? positive(value) : value / 4),
    curved: true,
  })),
  InstanceNormalization: drawn(fc.tuple(size, size), ([n, w]) => ({
    ...operator('InstanceNormalization', { x: [n, 2, w + 1, 2], scale: [2], bias: [2] }, {}, 0),
    domain: small,
    curved: true,
  })),
  GroupNormalization: drawn(fc.tuple(size, few, fc.boolean()), ([n, groups, old]) => ({
    ...operator(
      'GroupNormalization',
      { x: [n, 4, 3], scale: [old ? groups : 4], bias: [old ? groups : 4] },
      { num_groups: groups },
      0,
    ),
    opset: old ? 18 : 21,
    domain: small,
    curved: true,
  })),
  // In both forms; by one value a channel, the batch's variance would be nothing.
  BatchNormalization: drawn(fc.tuple(size, fc.integer({ min: 2, max: 4 }), flag), ([n, w, training]) => ({
    inputs: { x: [n, 2, w], scale: [2], bias: [2] },
    build(builder) {
      const statistics = [builder.floats([2], [0.25, -0.5]), builder.floats([2], [0.5, 2])];
      builder.node(
        'BatchNormalization',
        ['x', 'scale', 'bias', ...statistics],
        { training_mode: training, epsilon: { float: 0.01 } },
        'y',
      );
    },
    domain: small,
    curved: true,
  })),
};
