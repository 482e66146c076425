import * as fc from 'fast-check';
import { drawn, few, flag, indices, ints, operator, shape, size, small, type Case } from './case.js';

/** Operators that move values. */
export const moving: Record<string, fc.Arbitrary<Case>> = {
  Squeeze: drawn(fc.tuple(size, size, fc.boolean()), ([a, b, all]) => ({
    inputs: { x: [1, a + 1, 1, b + 1] },
    build: (builder) => void builder.node('Squeeze', all ? ['x'] : ['x', builder.ints([1], [-2])], {}, 'y'),
  })),
  Unsqueeze: drawn(shape, (shape) => ({
    inputs: { x: shape },
    build: (builder) => void builder.node('Unsqueeze', ['x', builder.ints([2], [0, -1])], {}, 'y'),
  })),
  TopK: drawn(fc.tuple(size, size, flag, flag), ([a, b, axis, largest]) => ({
    inputs: { x: [a, b] },
    build(builder) {
      const most = axis === 0 ? a : b;
      builder.add('TopK', ['x', builder.ints([1], [Math.ceil(most / 2)])], ['top', 'places'], {
        axis,
        largest,
      });
      builder.node('Mul', ['top', 'top'], {}, 'y');
    },
    domain: small,
    curved: true,
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
};
