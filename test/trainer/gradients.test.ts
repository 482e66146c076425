import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { dependents, differentiate } from '#trainer/differentiate.js';
import { gradientRules } from '#trainer/gradients.js';
import { softmaxCrossEntropy } from '#trainer/loss.js';
import { compose, compositions } from '#trainer/compositions.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { elementCount } from '#trainer/onnx/tensor.js';
import { inferShapes } from '#trainer/shapes.js';
import type { Feed } from './onnxRuntime.js';
import { cases } from './operators.js';
import { operator, type Case } from './operators/case.js';
import { startRuntime } from './parts.js';

const runtime = startRuntime();

describe('every rule gives the gradient that finite differences give', () => {
  test('and none is left out', () => {
    expect(Object.keys(cases).sort()).toEqual(
      [...Object.keys(gradientRules), ...Object.keys(compositions)].sort(),
    );
  });

  test.each(Object.entries(cases))('%s', async (_, arbitrary) => {
    await fc.assert(fc.asyncProperty(arbitrary, check), { numRuns: 20 });
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

/**
 * Values lie on a grid of eighths, an odd number of sixteenths from zero, all different within a tensor: no kink lies within
 * `step` of them, and float32 holds all products and sums exactly. Graphs that are linear in each single value have
 * exact central differences, and the tolerance can be that of a few roundings; for others differences of fourth order.
 */
const step = 1 / 32;

async function check(drawn: Case): Promise<void> {
  const values = Object.fromEntries(
    Object.entries(drawn.inputs).map(([name, shape], index) => [
      name,
      distinct(elementCount(shape), drawn.seed + index).map((value) => drawn.domain?.(value, name) ?? value),
    ]),
  );
  const [analytic, numeric] = await gradientsOf(drawn, values);
  for (const name of Object.keys(drawn.inputs))
    expectClose(analytic[name], numeric[name], drawn.curved ? 1e-3 : 1e-5);
}

/** The gradients of sum(seed * y) by the table, and by differences. */
async function gradientsOf(
  drawn: Case,
  values: Record<string, Float32Array>,
): Promise<[Record<string, Float32Array>, Record<string, Float32Array>]> {
  const builder = new GraphBuilder();
  drawn.build(builder);
  const opset = drawn.opset ?? 18;
  const names = Object.keys(drawn.inputs);
  const fixed = Object.entries(drawn.constants ?? {});
  const shapes = new Map([
    ...Object.entries(drawn.inputs),
    ...fixed.map(([name, { dims }]) => [name, dims] as const),
  ]);
  const types = new Map(fixed.map(([name, { type }]) => [name, elementTypes[type]]));
  const infer = () => inferShapes(builder.nodes, builder.constants, shapes, opset, types);
  const composed = compose(builder.nodes, infer(), dependents(builder.nodes, names), builder.names, opset);
  builder.nodes.splice(0, builder.nodes.length, ...composed.nodes);
  builder.constants.push(...composed.constants);
  const forward = [...builder.nodes];
  const known = infer();
  const outputShape = known.shapes.get('y') ?? [];
  const gradients = differentiate(builder, forward, known, { name: 'y', gradient: 'seed' }, names, opset);
  // An Identity gives each gradient a name of its own, also where it is the seed itself.
  for (const [name, shape] of Object.entries(drawn.inputs))
    builder.node(
      'Identity',
      [gradients.get(name) ?? builder.floats(shape, new Float32Array(elementCount(shape)))],
      {},
      `gradient/${name}`,
    );
  const graph = builder.graph(
    'gradients',
    [
      ...[...Object.entries(drawn.inputs), ['seed', outputShape] as const].map(([name, shape]) =>
        valueInfo(name, shape),
      ),
      ...fixed.map(([name, { dims, type }]) => valueInfo(name, dims, elementTypes[type])),
    ],
    [
      valueInfo('y', outputShape),
      ...Object.entries(drawn.inputs).map(([name, shape]) => valueInfo(`gradient/${name}`, shape)),
    ],
  );
  const seeds = values['seed'] ?? distinct(elementCount(outputShape), drawn.seed + 100);
  const feeds = (changed: Record<string, Float32Array>): Record<string, Feed> => ({
    ...drawn.constants,
    seed: { type: 'float32', data: seeds, dims: outputShape },
    ...Object.fromEntries(
      Object.entries(drawn.inputs).map(([name, dims]) => [
        name,
        { type: 'float32' as const, data: changed[name] ?? new Float32Array(), dims },
      ]),
    ),
  });
  const places = drawn.curved ? [1, -1, 2, -2] : [1, -1];
  const moves = names.flatMap((name) =>
    [...(values[name] ?? [])].flatMap((_, index) =>
      places.map((place) => moved(values, name, index, (place * step) / (drawn.curved ? 4 : 1))),
    ),
  );
  const [first, ...others] = await runtime.run(encodeModel(graph, opset), [values, ...moves].map(feeds));
  const objective = others.map((result) =>
    (result['y']?.data ?? new Float32Array()).reduce((sum, y, index) => sum + y * (seeds[index] ?? 0), 0),
  );
  const numeric: Record<string, Float32Array> = {};
  for (const name of names)
    numeric[name] = (values[name] ?? new Float32Array()).map(() => {
      const [above = 0, below = 0, far = 0, deep = 0] = objective.splice(0, places.length);
      if (!drawn.curved) return (above - below) / (2 * step);
      return (8 * (above - below) - (far - deep)) / (3 * step);
    });
  return [
    Object.fromEntries(names.map((name) => [name, first?.[`gradient/${name}`]?.data ?? new Float32Array()])),
    numeric,
  ];
}

const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7 };

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
