import { afterAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { differentiate } from '#trainer/differentiate.js';
import { gradientRules } from '#trainer/gradients.js';
import { softmaxCrossEntropy } from '#trainer/loss.js';
import { encodeModel, GraphBuilder, valueInfo, type Attribute } from '#trainer/onnx/builder.js';
import { elementCount, type Shape } from '#trainer/onnx/tensor.js';
import { inferShapes } from '#trainer/shapes.js';
import { OnnxRuntime, type Feed } from './onnxRuntime.js';

const runtime = new OnnxRuntime();
afterAll(() => runtime.stop());

/** A small graph: named float inputs, of which all are differentiated, and one output called y. */
interface Case {
  readonly inputs: Record<string, Shape>;
  build(builder: GraphBuilder): void;
  /** Decides the values. */
  readonly seed: number;
}

const size = fc.integer({ min: 1, max: 4 });
const few = fc.integer({ min: 1, max: 2 });
const seed = fc.nat(1_000_000);
const flag = fc.integer({ min: 0, max: 1 });

/** For every rule of the table: shapes and attributes drawn at random. */
const cases: Record<string, fc.Arbitrary<Case>> = {
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

describe('every rule gives the gradient that finite differences give', () => {
  test('and none is left out', () => {
    expect(Object.keys(cases).sort()).toEqual(Object.keys(gradientRules).sort());
  });

  test.each(Object.entries(cases))('%s', async (_, arbitrary) => {
    await fc.assert(fc.asyncProperty(arbitrary, check), { numRuns: 40 });
  });

  test('a value that is used several times collects a gradient from each use', async () => {
    await check({
      inputs: { x: [2, 3], w: [3, 3] },
      seed: 7,
      build(builder) {
        const once = builder.node('Gemm', ['x', 'w']);
        const twice = builder.node('Gemm', [once, 'w'], { transB: 1 });
        builder.node('Add', [builder.node('Add', [twice, once]), 'x'], {}, 'y');
      },
    });
  });

  test('MaxPool pays the first of equal values once', async () => {
    const [analytic] = await gradientsOf(
      operator('MaxPool', { x: [1, 1, 2, 4] }, { kernel_shape: [2, 2], strides: [2, 2] }, 1),
      {
        x: new Float32Array(8).fill(0.5),
        seed: Float32Array.of(3, 5),
      },
    );
    expect([...(analytic?.['x'] ?? [])]).toEqual([3, 0, 5, 0, 0, 0, 0, 0]);
  });
});

test('softmax cross-entropy: loss and gradient are those of the formula', async () => {
  const builder = new GraphBuilder();
  const { each, gradient } = softmaxCrossEntropy(builder, 'logits', 'labels', 3);
  const slope = gradient(0.5);
  const graph = builder.graph(
    'loss',
    [valueInfo('logits', [2, 3]), valueInfo('labels', [2], 6)],
    [valueInfo(each, [2]), valueInfo(slope, [2, 3])],
  );
  const logits = [1, 2, 3, 80, -80, 0];
  const [result] = await runtime.run(encodeModel(graph, 18), [
    {
      logits: { type: 'float32', data: Float32Array.from(logits), dims: [2, 3] },
      labels: { type: 'int32', data: Int32Array.of(0, 2), dims: [2] },
    },
  ]);
  const rows = [logits.slice(0, 3), logits.slice(3)];
  const logSum = rows.map((row) => Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0)));
  const expectedLoss = rows.map((row, i) => (logSum[i] ?? 0) - (row[[0, 2][i] ?? 0] ?? 0));
  const expectedSlope = rows.flatMap((row, i) =>
    row.map((z, c) => 0.5 * (Math.exp(z - (logSum[i] ?? 0)) - Number(c === [0, 2][i]))),
  );
  expectClose(result?.[each]?.data, expectedLoss, 1e-6);
  expectClose(result?.[slope]?.data, expectedSlope, 1e-6);
});

function operator(
  name: string,
  inputs: Record<string, Shape>,
  attributes: Record<string, Attribute>,
  seed: number,
): Case {
  return { inputs, seed, build: (builder) => void builder.node(name, Object.keys(inputs), attributes, 'y') };
}

/**
 * Values lie on a grid of eighths, an odd number of sixteenths from zero, all different within a tensor: no kink lies within
 * `step` of them, and float32 holds all products and sums exactly. The graphs are linear in each single value, so
 * the central difference is exact as well, and the tolerance can be that of a few roundings.
 */
const step = 1 / 32;

async function check(drawn: Case): Promise<void> {
  const values = Object.fromEntries(
    Object.entries(drawn.inputs).map(([name, shape], index) => [
      name,
      distinct(elementCount(shape), drawn.seed + index),
    ]),
  );
  const [analytic, numeric] = await gradientsOf(drawn, values);
  for (const name of Object.keys(drawn.inputs)) expectClose(analytic[name], numeric[name], 1e-5);
}

/** The gradients of sum(seed * y) by the table, and by central differences. */
async function gradientsOf(
  drawn: Case,
  values: Record<string, Float32Array>,
): Promise<[Record<string, Float32Array>, Record<string, Float32Array>]> {
  const builder = new GraphBuilder();
  drawn.build(builder);
  const forward = [...builder.nodes];
  const names = Object.keys(drawn.inputs);
  const { shapes } = inferShapes(forward, builder.constants, new Map(Object.entries(drawn.inputs)));
  const outputShape = shapes.get('y') ?? [];
  const gradients = differentiate(builder, forward, shapes, { name: 'y', gradient: 'seed' }, names);
  // An Identity gives each gradient a name of its own, also where it is the seed itself.
  for (const name of names) builder.node('Identity', [gradients.get(name) ?? ''], {}, `gradient/${name}`);
  const graph = builder.graph(
    'gradients',
    [...Object.entries(drawn.inputs), ['seed', outputShape] as const].map(([name, shape]) =>
      valueInfo(name, shape),
    ),
    [
      valueInfo('y', outputShape),
      ...Object.entries(drawn.inputs).map(([name, shape]) => valueInfo(`gradient/${name}`, shape)),
    ],
  );
  const seeds = values['seed'] ?? distinct(elementCount(outputShape), drawn.seed + 100);
  const feeds = (changed: Record<string, Float32Array>): Record<string, Feed> => ({
    seed: { type: 'float32', data: seeds, dims: outputShape },
    ...Object.fromEntries(
      Object.entries(drawn.inputs).map(([name, dims]) => [
        name,
        { type: 'float32' as const, data: changed[name] ?? new Float32Array(), dims },
      ]),
    ),
  });
  const moves = names.flatMap((name) =>
    [...(values[name] ?? [])].flatMap((_, index) =>
      [1, -1].map((sign) => moved(values, name, index, sign * step)),
    ),
  );
  const [first, ...others] = await runtime.run(encodeModel(graph, 18), [values, ...moves].map(feeds));
  const objective = others.map((result) =>
    (result['y']?.data ?? new Float32Array()).reduce((sum, y, index) => sum + y * (seeds[index] ?? 0), 0),
  );
  const numeric: Record<string, Float32Array> = {};
  for (const name of names)
    numeric[name] = (values[name] ?? new Float32Array()).map(() => {
      const [above = 0, below = 0] = objective.splice(0, 2);
      return (above - below) / (2 * step);
    });
  return [
    Object.fromEntries(names.map((name) => [name, first?.[`gradient/${name}`]?.data ?? new Float32Array()])),
    numeric,
  ];
}

function moved(
  values: Record<string, Float32Array>,
  name: string,
  index: number,
  by: number,
): Record<string, Float32Array> {
  const copy = Float32Array.from(values[name] ?? []);
  copy[index] = (copy[index] ?? 0) + by;
  return { ...values, [name]: copy };
}

function distinct(count: number, seed: number): Float32Array {
  const places = Array.from({ length: count }, (_, index) => (index - Math.floor(count / 2)) / 8 + 1 / 16);
  const keys = places.map((_, index) => Math.imul(index + 1 + seed, 0x9e3779b1) >>> 0);
  return Float32Array.from(
    places
      .map((value, index) => [keys[index] ?? 0, value] as const)
      .sort((a, b) => a[0] - b[0])
      .map(([, value]) => value),
  );
}

function expectClose(
  actual: ArrayLike<number> | undefined,
  expected: ArrayLike<number> | undefined,
  tolerance: number,
): void {
  const [found, wanted] = [Array.from(actual ?? []), Array.from(expected ?? [])];
  expect(found).toHaveLength(wanted.length);
  const largest = Math.max(1, ...wanted.map(Math.abs));
  const worst = Math.max(0, ...found.map((value, index) => Math.abs(value - (wanted[index] ?? 0))));
  expect(worst / largest).toBeLessThanOrEqual(tolerance);
}
