/** For every operator that can be trained: small graphs with shapes and attributes drawn at random. */
import * as fc from 'fast-check';
import type { Attribute, GraphBuilder } from '#trainer/onnx/builder.js';
import { elementCount, type Shape } from '#trainer/onnx/tensor.js';
import type { Feed } from './onnxRuntime.js';

/** A small graph: named float inputs, of which all are differentiated, and one output called y. */
export interface Case {
  readonly inputs: Record<string, Shape>;
  build(builder: GraphBuilder): void;
  /** Decides the values. */
  readonly seed: number;
  /** Where the operator is smooth and its values moderate; the values given are odd sixteenths, all different. */
  readonly domain?: (value: number, input: string) => number;
  /** The graph bends between its kinks: differences of fourth order, and a wider tolerance. */
  readonly curved?: boolean;
  /** Inputs that are not differentiated, and are given. */
  readonly constants?: Record<string, Feed>;
  readonly opset?: number;
}

const size = fc.integer({ min: 1, max: 4 });
const few = fc.integer({ min: 1, max: 2 });
const seed = fc.nat(1_000_000);
const flag = fc.integer({ min: 0, max: 1 });

/** For every rule of the table: shapes and attributes drawn at random. */
const linear: Record<string, fc.Arbitrary<Case>> = {
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
      seed,
    })
    .map(({ m, k, n, left, right, seed }) => {
      const lead = right === 'none' ? [] : right === 'same' ? left : left.map(() => 1);
      return operator('MatMul', { a: [...left, m, k], b: [...lead, k, n] }, {}, seed);
    }),
  Conv: fc
    .record({
      rank: few,
      batch: few,
      group: few,
      depth: few,
      filters: few,
      kernel: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 2 }),
      strides: fc.array(few, { minLength: 2, maxLength: 2 }),
      dilations: fc.array(few, { minLength: 2, maxLength: 2 }),
      pads: fc.array(flag, { minLength: 4, maxLength: 4 }),
      extra: fc.array(fc.nat(3), { minLength: 2, maxLength: 2 }),
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

const shape = fc.array(size, { minLength: 1, maxLength: 4 });
const small = (value: number) => value / 4;
/** Never equal between inputs: where two are, a maximum bends. */
const apart = (value: number, input: string) => value / 2 + 'abc'.indexOf(input) / 48;
const positive = (value: number) => 0.75 + Math.abs(value) / 4;

/** A function of one value, at random places. */
function unary(
  name: string,
  domain: (value: number) => number = small,
  attributes: fc.Arbitrary<Record<string, Attribute>> = fc.constant({}),
): fc.Arbitrary<Case> {
  return fc
    .record({ shape: fc.array(size, { maxLength: 3 }), attributes, seed })
    .map(({ shape, attributes, seed }) => ({
      ...operator(name, { x: shape }, attributes, seed),
      domain,
      curved: true,
    }));
}

/** Several values, stretched to each other. */
function broadcasting(name: string, domain: Case['domain'] = small, most = 2): fc.Arbitrary<Case> {
  return fc
    .record({
      shape,
      ones: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      cut: fc.nat(3),
      count: fc.integer({ min: Math.min(2, most), max: most }),
      seed,
    })
    .map(({ shape, ones, cut, count, seed }) => {
      const inputs = Object.fromEntries(
        Array.from({ length: count }, (_, index) => [
          'abc'[index] ?? '',
          shape.map((dim, axis) => (ones[axis + 4 * index] ? 1 : dim)).slice(index === 1 ? cut : 0),
        ]),
      );
      return { ...operator(name, inputs, {}, seed), domain, curved: true };
    });
}

/** A sum of some kind over some axes. */
function reduction(name: string, domain: Case['domain'] = small): fc.Arbitrary<Case> {
  return fc
    .record({ shape, chosen: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), keepdims: flag, seed })
    .map(({ shape, chosen, keepdims, seed }) => ({
      inputs: { x: shape },
      seed,
      domain,
      curved: true,
      build(builder) {
        const axes = shape.flatMap((_, axis) => (chosen[axis] ? [axis - shape.length] : []));
        const inputs = axes.length === 0 ? ['x'] : ['x', builder.ints([axes.length], axes)];
        builder.node(name, inputs, { keepdims }, 'y');
      },
    }));
}

/** An operator along one axis. */
function alongAxis(name: string, attributes: Record<string, Attribute> = {}): fc.Arbitrary<Case> {
  return fc.record({ shape, axis: fc.nat(3), seed }).map(({ shape, axis, seed }) => ({
    ...operator(name, { x: shape }, { axis: (axis % shape.length) - shape.length, ...attributes }, seed),
    domain: small,
    curved: true,
  }));
}

/** One graph with parts drawn from a seed. */
function drawn<T>(
  parts: fc.Arbitrary<T>,
  make: (parts: T, seed: number) => Omit<Case, 'seed'>,
): fc.Arbitrary<Case> {
  return fc.tuple(parts, seed).map(([drawn, seed]) => ({ ...make(drawn, seed), seed }));
}

const ints = (data: readonly number[], dims: readonly number[]): Feed => ({
  type: 'int64',
  data: BigInt64Array.from(data, BigInt),
  dims,
});
const indices = (count: number, size: number, seed: number) =>
  Array.from({ length: count }, (_, i) => ((i * 7 + seed) % (2 * size)) - size);

const alpha = fc.constantFrom(0.1, 0.5, 1).map((alpha) => ({ alpha: { float: alpha } }));

const curved: Record<string, fc.Arbitrary<Case>> = {
  Abs: unary('Abs'),
  Cast: unary('Cast', small, fc.constant({ to: 1 })),
  CastLike: drawn(shape, (shape) => ({
    inputs: { x: shape },
    build: (builder) => void builder.node('CastLike', ['x', builder.floats([], [1])], {}, 'y'),
  })),
  Celu: unary('Celu', small, alpha),
  Clip: drawn(fc.tuple(shape, flag, flag), ([shape, low, high]) => ({
    inputs: { x: shape },
    build(builder) {
      const bounds = [low ? builder.floats([], [-0.5]) : '', high ? builder.floats([], [0.75]) : ''];
      builder.node('Clip', ['x', ...bounds], {}, 'y');
    },
  })),
  Cos: unary('Cos'),
  Div: broadcasting('Div', (value, input) => (input === 'a' ? value / 4 : positive(value))),
  Dropout: unary('Dropout'),
  Elu: unary('Elu', small, alpha),
  Erf: unary('Erf'),
  Exp: unary('Exp'),
  Gelu: fc
    .tuple(unary('Gelu', small, fc.constantFrom({ approximate: 'none' }, { approximate: 'tanh' })))
    .map(([drawn]) => ({ ...drawn, opset: 20 })),
  HardSigmoid: unary('HardSigmoid', (value) => value * 2),
  HardSwish: unary('HardSwish', (value) => value * 1.5),
  LeakyRelu: unary('LeakyRelu', small, alpha),
  Log: unary('Log', positive),
  Max: broadcasting('Max', apart, 3),
  Mean: broadcasting('Mean', small, 3),
  Min: broadcasting('Min', apart, 3),
  Mish: unary('Mish'),
  Mul: broadcasting('Mul'),
  Neg: unary('Neg'),
  Pow: fc.oneof(
    broadcasting('Pow', (value, input) => (input === 'a' ? positive(value) : value / 4)),
    drawn(fc.tuple(shape, fc.constantFrom(2, 3, 0.5)), ([shape, exponent]) => ({
      inputs: { x: shape },
      domain: positive,
      curved: true,
      build: (builder) => void builder.node('Pow', ['x', builder.floats([], [exponent])], {}, 'y'),
    })),
  ),
  PRelu: drawn(fc.tuple(size, size, size), ([n, c, w]) => ({
    ...operator('PRelu', { x: [n, c, w], slope: [c, 1] }, {}, 0),
    domain: small,
    curved: true,
  })),
  Reciprocal: unary('Reciprocal', positive),
  Selu: unary('Selu'),
  Sigmoid: unary('Sigmoid'),
  Sin: unary('Sin'),
  Softplus: unary('Softplus'),
  Softsign: unary('Softsign'),
  Sqrt: unary('Sqrt', positive),
  Sub: broadcasting('Sub'),
  Sum: broadcasting('Sum', small, 3),
  Tanh: unary('Tanh'),
  Where: drawn(fc.tuple(shape, fc.boolean()), ([shape, one]) => ({
    inputs: { a: shape, b: one ? [1] : shape },
    build(builder) {
      const condition = builder.node('Greater', ['a', 'b']);
      builder.node('Where', [condition, 'a', builder.node('Mul', ['b', 'b'])], {}, 'y');
    },
    domain: apart,
    curved: true,
  })),
  Einsum: drawn(
    fc.tuple(size, size, size, fc.constantFrom('ij,jk->ik', 'bij,bkj->bki', 'ij,ij->i', 'i,j->ij')),
    ([a, b, c, equation]) => {
      const sizes: Record<string, number> = { i: a, j: b, k: c, b: 2 };
      const [left = '', right = ''] = equation.split('->')[0]?.split(',') ?? [];
      const dims = (letters: string) => [...letters].map((letter) => sizes[letter] ?? 1);
      return {
        ...operator('Einsum', { a: dims(left), b: dims(right) }, { equation }, 0),
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
  BatchNormalization: drawn(fc.tuple(size, size), ([n, w]) => ({
    inputs: { x: [n, 2, w], scale: [2], bias: [2] },
    build(builder) {
      const statistics = [builder.floats([2], [0.25, -0.5]), builder.floats([2], [0.5, 2])];
      builder.node('BatchNormalization', ['x', 'scale', 'bias', ...statistics], {}, 'y');
    },
    domain: small,
    curved: true,
  })),
  Squeeze: drawn(fc.tuple(size, size, fc.boolean()), ([a, b, all]) => ({
    inputs: { x: [1, a + 1, 1, b + 1] },
    build: (builder) => void builder.node('Squeeze', all ? ['x'] : ['x', builder.ints([1], [-2])], {}, 'y'),
  })),
  Unsqueeze: drawn(shape, (shape) => ({
    inputs: { x: shape },
    build: (builder) => void builder.node('Unsqueeze', ['x', builder.ints([2], [0, -1])], {}, 'y'),
  })),
  Transpose: drawn(fc.tuple(shape, fc.nat(23)), ([shape, order]) => ({
    ...operator(
      'Transpose',
      { x: shape },
      { perm: [...shape.keys()].sort((a, b) => ((a * 7 + order) % 5) - ((b * 7 + order) % 5)) },
      0,
    ),
  })),
  Concat: drawn(fc.tuple(shape, fc.nat(3), size), ([shape, at, other]) => {
    const axis = at % shape.length;
    const second = shape.map((dim, index) => (index === axis ? other : dim));
    return operator('Concat', { a: shape, b: second, c: shape }, { axis: axis - shape.length }, 0);
  }),
  Split: drawn(fc.tuple(size, size, size), ([a, b, c]) => ({
    inputs: { x: [a, b + c] },
    build(builder) {
      builder.add('Split', ['x', builder.ints([2], [b, c])], ['one', 'two'], { axis: 1 });
      const squares = ['one', 'two'].map((part) => builder.node('Mul', [part, part]));
      builder.node('Concat', squares.toReversed(), { axis: 1 }, 'y');
    },
    domain: small,
    curved: true,
  })),
  Slice: drawn(
    fc.tuple(
      fc.integer({ min: 1, max: 9 }),
      size,
      fc.integer({ min: -9, max: 9 }),
      fc.integer({ min: -9, max: 9 }),
      fc.constantFrom(1, 2, 3, -1, -2),
    ),
    ([a, b, from, to, step]) => ({
      inputs: { x: [b, a, 2] },
      build(builder) {
        const one = (value: number) => builder.ints([1], [value]);
        const part = builder.node('Slice', ['x', one(from), one(to), one(1), one(step)]);
        builder.node('Concat', [part, 'x'], { axis: 1 }, 'y');
      },
    }),
  ),
  Pad: drawn(
    fc.tuple(
      fc.integer({ min: 3, max: 5 }),
      fc.nat(2),
      fc.nat(2),
      fc.constantFrom('constant', 'reflect', 'edge'),
    ),
    ([a, before, after, mode]) => ({
      inputs: { x: [2, a, a] },
      build: (builder) =>
        void builder.node('Pad', ['x', builder.ints([6], [0, before, 1, 0, after, 0])], { mode }, 'y'),
    }),
  ),
  Expand: drawn(fc.tuple(size, size, size), ([a, b, c]) => ({
    inputs: { x: [a, 1, b] },
    build: (builder) => void builder.node('Expand', ['x', builder.ints([4], [2, 1, c, b])], {}, 'y'),
  })),
  Tile: drawn(fc.tuple(size, size, few, size), ([a, b, times, more]) => ({
    inputs: { x: [a, b] },
    build: (builder) => void builder.node('Tile', ['x', builder.ints([2], [times, more])], {}, 'y'),
  })),
  Gather: drawn(
    fc.tuple(shape, fc.nat(3), size, fc.boolean(), fc.boolean()),
    ([shape, at, count, matrix, fed], seed) => {
      const axis = at % shape.length;
      const values = indices(matrix ? 2 * count : count, shape[axis] ?? 1, seed);
      const dims = matrix ? [2, count] : [count];
      return {
        inputs: { x: shape },
        ...(fed ? { constants: { i: ints(values, dims) } } : {}),
        build: (builder) =>
          void builder.node('Gather', ['x', fed ? 'i' : builder.ints(dims, values)], { axis }, 'y'),
      };
    },
  ),
  GatherElements: drawn(fc.tuple(size, size, size), ([a, b, count], seed) => ({
    inputs: { x: [a, b] },
    constants: { i: ints(indices(a * count, b, seed), [a, count]) },
    build: (builder) => void builder.node('GatherElements', ['x', 'i'], { axis: 1 }, 'y'),
  })),
  GatherND: drawn(fc.tuple(size, size, size), ([a, b, count], seed) => ({
    inputs: { x: [a, b, 2] },
    constants: {
      i: ints(
        Array.from({ length: 2 * count }, (_, i) => (i * 5 + seed) % (i % 2 ? b : a)),
        [count, 2],
      ),
    },
    build: (builder) => void builder.node('GatherND', ['x', 'i'], {}, 'y'),
  })),
  ScatterND: drawn(fc.tuple(size, size, fc.boolean()), ([a, b, add]) => ({
    inputs: { x: [a + 1, b], u: [2, b] },
    constants: { i: ints([0, a], [2, 1]) },
    build: (builder) =>
      void builder.node('ScatterND', ['x', 'i', 'u'], { reduction: add ? 'add' : 'none' }, 'y'),
  })),
  ScatterElements: drawn(fc.tuple(size, size, fc.boolean()), ([a, b, add]) => ({
    inputs: { x: [a + 1, b], u: [2, b] },
    constants: { i: ints([...Array<number>(b).fill(0), ...Array<number>(b).fill(a)], [2, b]) },
    build: (builder) =>
      void builder.node('ScatterElements', ['x', 'i', 'u'], { reduction: add ? 'add' : 'none' }, 'y'),
  })),
  Trilu: drawn(fc.tuple(size, size, flag), ([a, b, upper]) =>
    operator('Trilu', { x: [2, a, b] }, { upper }, 0),
  ),
  DepthToSpace: drawn(fc.tuple(size, fc.constantFrom('DCR', 'CRD')), ([h, mode]) =>
    operator('DepthToSpace', { x: [2, 8, h, 2] }, { blocksize: 2, mode }, 0),
  ),
  SpaceToDepth: drawn(size, (h) => operator('SpaceToDepth', { x: [2, 2, 2 * h, 4] }, { blocksize: 2 }, 0)),
  Resize: drawn(
    fc.tuple(
      fc.integer({ min: 2, max: 4 }),
      fc.integer({ min: 2, max: 7 }),
      fc.constantFrom('nearest', 'linear', 'cubic'),
      fc.constantFrom('half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'),
    ),
    ([from, to, mode, place]) => ({
      inputs: { x: [1, 2, from, 3] },
      build(builder) {
        const sizes = builder.ints([4], [1, 2, to, 6]);
        const how = { mode, coordinate_transformation_mode: place, nearest_mode: 'floor' };
        builder.node('Resize', ['x', '', '', sizes], how, 'y');
      },
    }),
  ),
  LSTM: recurrent('LSTM', 4),
  GRU: recurrent('GRU', 3),
  Attention: drawn(
    fc.tuple(few, few, size, size, flag, fc.boolean(), fc.boolean()),
    ([batch, group, queries, keys, causal, flat, mask]) => {
      const inputs: Record<string, Shape> = flat
        ? { q: [batch, queries, 2 * group * 2], k: [batch, keys, 4], v: [batch, keys, 6] }
        : { q: [batch, 2 * group, queries, 2], k: [batch, 2, keys, 2], v: [batch, 2, keys, 3] };
      const heads = flat ? { q_num_heads: 2 * group, kv_num_heads: 2 } : {};
      return {
        ...operator(
          'Attention',
          { ...inputs, ...(mask ? { m: [queries, keys] } : {}) },
          { is_causal: causal, ...heads },
          0,
        ),
        opset: 23,
        domain: small,
        curved: true,
      };
    },
  ),
  RotaryEmbedding: drawn(
    fc.tuple(few, size, flag, fc.boolean()),
    ([batch, length, interleaved, flat], seed) => {
      const table = (f: (x: number) => number): Feed => ({
        type: 'float32',
        data: Float32Array.from({ length: batch * length * 2 }, (_, i) => f(i + seed)),
        dims: [batch, length, 2],
      });
      return {
        inputs: { x: flat ? [batch, length, 8] : [batch, 2, length, 4] },
        constants: { cos: table(Math.cos), sin: table(Math.sin) },
        opset: 23,
        build: (builder) =>
          void builder.node(
            'RotaryEmbedding',
            ['x', 'cos', 'sin'],
            { interleaved, ...(flat ? { num_heads: 2 } : {}) },
            'y',
          ),
      };
    },
  ),
};

function recurrent(name: string, gates: number): fc.Arbitrary<Case> {
  const parts = fc.tuple(
    size,
    few,
    size,
    few,
    fc.constantFrom('forward', 'reverse', 'bidirectional'),
    fc.boolean(),
    fc.nat(2),
    flag,
  );
  return drawn(parts, ([steps, batch, width, hidden, direction, bias, seen, after]) => {
    const n = direction === 'bidirectional' ? 2 : 1;
    const state = [n, batch, hidden];
    const inputs: Record<string, Shape> = {
      x: [steps, batch, width],
      w: [n, gates * hidden, width],
      r: [n, gates * hidden, hidden],
      ...(bias ? { b: [n, 2 * gates * hidden] } : {}),
      h: state,
      ...(name === 'LSTM' ? { c: state } : {}),
    };
    return {
      inputs,
      domain: (value) => value / 8,
      curved: true,
      build(builder) {
        const given = ['x', 'w', 'r', bias ? 'b' : '', '', 'h', ...(name === 'LSTM' ? ['c'] : [])];
        const reset = name === 'GRU' ? { linear_before_reset: after } : {};
        const outputs = ['all', 'last', ...(name === 'LSTM' ? ['cell'] : [])];
        builder.add(name, given, outputs, { hidden_size: hidden, direction, ...reset });
        const used = [['all', 'last'], ['last'], outputs][seen] ?? [];
        const flat = used.map((value) => builder.node('Reshape', [value, builder.ints([1], [-1])]));
        builder.node('Concat', flat, { axis: 0 }, 'y');
      },
    };
  });
}

/** MaxPool as images are usually reduced: windows that overlap, or reach over the edge. */
const overlapping = drawn(
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

export const cases: Record<string, fc.Arbitrary<Case>> = {
  ...linear,
  ...curved,
  MaxPool: fc.oneof(linear['MaxPool'] ?? overlapping, overlapping),
};

export function operator(
  name: string,
  inputs: Record<string, Shape>,
  attributes: Record<string, Attribute>,
  seed: number,
): Case {
  return { inputs, seed, build: (builder) => void builder.node(name, Object.keys(inputs), attributes, 'y') };
}
