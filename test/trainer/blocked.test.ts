import { beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { blockConvolutions } from '#trainer/blocked.js';
import { blockOf, probeDims, probeModel } from '#trainer/blocked/probe.js';
import { blockedDomain } from '#trainer/blocked/writer.js';
import { compileTraining } from '#trainer/compile/training.js';
import { differentiate } from '#trainer/differentiate.js';
import { readModel } from '#trainer/model.js';
import { encodeModel, GraphBuilder, valueInfo, type Attribute } from '#trainer/onnx/builder.js';
import { elementCount, type Shape } from '#trainer/onnx/tensor.js';
import { inferShapes } from '#trainer/shapes.js';
import { modelOf, weight } from './models.js';
import type { Feed } from './onnxRuntime.js';
import { startRuntime } from './parts.js';

const runtime = startRuntime();
let block: number;

beforeAll(async () => {
  const [result] = await runtime.run(probeModel(), [{ x: floats(probeDims, 1) }]);
  block = blockOf(result?.['y']?.dims) ?? 0;
});

test('every x64 processor with AVX has blocked kernels', () => {
  expect([8, 16]).toContain(block);
});

test('four channels that stay four say that a machine has no blocks', () => {
  expect(blockOf([1, 4, 1, 1])).toBeUndefined();
  expect(blockOf(undefined)).toBeUndefined();
});

describe('blocked convolutions', () => {
  test('have the values and gradients of plain ones, whatever channels, strides, pads and dilations', async () => {
    await fc.assert(fc.asyncProperty(convolutions, agrees), { numRuns: 60 });
  });

  test('over volumes of one image, which have the form of a gradient for filters, keep what rectifies them', async () => {
    const volumes = {
      ...ordinary(),
      image: [1, 8, 5, 9, 9],
      filters: [32, 8, 1, 3, 3],
      strides: [1, 1, 1],
      pads: [0, 1, 1, 0, 1, 1],
      dilations: [1, 1, 1],
      bias: false,
    };
    expect(pass(volumes, true).builder.nodes.some(({ domain }) => domain !== '')).toBe(true);
    await agrees(volumes);
  });

  test('take the place of forward pass and both gradients where channels fill blocks', () => {
    const { builder } = pass(ordinary(), true);
    expect(builder.nodes.filter(({ opType }) => opType === 'ConvTranspose')).toEqual([]);
    const convolved = builder.nodes.filter(({ opType }) => opType === 'Conv');
    expect(convolved.map(({ domain }) => domain)).toEqual(convolved.map(() => blockedDomain));
    expect(builder.nodes.some(({ opType }) => opType === 'Relu')).toBe(false);
  });

  test.each([
    ['groups', { group: 2, filters: [32, 16, 3, 3] }],
    ['channels that do not fill a block', { filters: [31, 32, 3, 3] }],
    ['kernels of one pixel', { filters: [32, 32, 1, 1], pads: [0, 0, 0, 0] }],
  ])('%s are left as they are', (_, changes) => {
    const { builder } = pass({ ...ordinary(), ...changes }, true);
    expect(builder.nodes.filter(({ domain }) => domain !== '')).toEqual([]);
  });

  test('of a training give the same bits in one run of six steps and in two of three', async () => {
    const whole = await train([[0, 1, 2, 3, 4, 5]]);
    const halves = await train([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(halves).toEqual(whole);
  });
});

interface Drawn {
  readonly image: Shape;
  readonly filters: Shape;
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
  readonly group: number;
  readonly relu: boolean;
  readonly bias: boolean;
}

const pair = (least: number, most: number) =>
  fc.array(fc.integer({ min: least, max: most }), { minLength: 2, maxLength: 2 });
const convolutions: fc.Arbitrary<Drawn> = fc
  .record({
    batch: fc.integer({ min: 1, max: 34 }),
    space: pair(1, 13),
    channels: fc.constantFrom(1, 3, 6, 16, 32, 48),
    results: fc.constantFrom(16, 32, 80, 20),
    kernel: pair(1, 5),
    strides: fc.oneof(fc.constant([1, 1]), pair(1, 3)),
    pads: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 4, maxLength: 4 }),
    dilations: fc.oneof(fc.constant([1, 1]), pair(1, 3)),
    group: fc.constantFrom(1, 1, 1, 2),
    relu: fc.boolean(),
    bias: fc.boolean(),
  })
  .map(({ batch, space, channels, results, kernel, group, ...rest }) => ({
    ...rest,
    group: channels % group === 0 ? group : 1,
    image: [batch, channels, ...space],
    filters: [results, channels % group === 0 ? channels / group : channels, ...kernel],
  }))
  .filter(({ image, filters, pads, dilations }) =>
    [2, 3].every((axis) => {
      const padded = (image[axis] ?? 0) + (pads[axis - 2] ?? 0) + (pads[axis] ?? 0);
      return padded > (dilations[axis - 2] ?? 1) * ((filters[axis] ?? 1) - 1);
    }),
  );

function ordinary(): Drawn {
  return {
    image: [4, 32, 8, 8],
    filters: [32, 32, 3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
    dilations: [1, 1],
    group: 1,
    relu: true,
    bias: true,
  };
}

/** Forward and backward pass of one convolution, of which `blocked` says whether it is written in blocks. */
function pass({ image, filters, relu, bias, strides, pads, dilations, group }: Drawn, blocked: boolean) {
  const builder = new GraphBuilder();
  const attributes: Record<string, Attribute> = { strides, pads, dilations, group };
  const inputs = new Map<string, Shape>([
    ['x', image],
    ['w', filters],
    ...(bias ? [['b', [filters[0] ?? 0]] as const] : []),
  ]);
  const convolved = builder.node('Conv', [...inputs.keys()], attributes, relu ? 'c' : 'y');
  if (relu) builder.node('Relu', [convolved], {}, 'y');
  const forward = [...builder.nodes];
  const known = inferShapes(forward, [], inputs);
  const shape = known.shapes.get('y') ?? [];
  const output = { name: 'y', gradient: 'seed' };
  const gradients = differentiate(builder, forward, known, output, [...inputs.keys()]);
  if (blocked) blockConvolutions(builder, known.shapes, block);
  return { builder, inputs: new Map([...inputs, ['seed', shape] as const]), gradients, shape };
}

/** Sums of multiples of 1/256 are exact in any order, so both must give the same values. */
async function agrees(drawn: Drawn): Promise<void> {
  const [plain, blocked] = [await values(drawn, false), await values(drawn, true)];
  for (const [name, expected] of plain) {
    const found = blocked.get(name) ?? new Float32Array();
    expect(found.length).toBe(expected.length);
    expect(found.findIndex((value, i) => value !== expected[i])).toBe(-1);
  }
}

async function values(drawn: Drawn, blocked: boolean): Promise<Map<string, Float32Array>> {
  const { builder, inputs, gradients, shape } = pass(drawn, blocked);
  const results = new Map<string, Shape>([['y', shape]]);
  for (const [name, gradient] of gradients) results.set(gradient, inputs.get(name) ?? []);
  const graph = builder.graph(
    'pass',
    [...inputs].map(([name, dims]) => valueInfo(name, dims)),
    [...results].map(([name, dims]) => valueInfo(name, dims)),
  );
  const feeds = Object.fromEntries([...inputs].map(([name, dims], at) => [name, floats(dims, at)]));
  const [found] = await runtime.run(encodeModel(graph, 18), [feeds]);
  const named = [['y', 'y'] as const, ...gradients];
  return new Map(named.map(([name, value]) => [name, found?.[value]?.data ?? new Float32Array()]));
}

/** The weights of a small network after one run for each list of steps. */
async function train(runs: readonly (readonly number[])[]) {
  const model = modelOf([3, 12, 12], (builder) => {
    const first = builder.node('Conv', ['x', weight(builder, 'first', [16, 3, 3, 3])], {
      pads: [1, 1, 1, 1],
    });
    const second = builder.node(
      'Conv',
      [builder.node('Relu', [first]), weight(builder, 'second', [16, 16, 3, 3])],
      {},
    );
    builder.node(
      'MatMul',
      [builder.node('Flatten', [second]), weight(builder, 'last', [1600, 3])],
      {},
      'logits',
    );
  });
  const { graph, weights } = readModel(model);
  const plan = compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.1 },
    batch: 4,
    inputs: ['float32'],
    block,
  });
  let state = new Map<string, Float32Array>(weights.map(({ name, data }) => [name, data]));
  for (const steps of runs) {
    const rows = steps.flatMap((step) => [0, 1, 2, 3].map((row) => 4 * step + row));
    const [result] = await runtime.run(plan.model, [
      {
        ...Object.fromEntries(
          plan.weights.map(({ name, before, shape }) => [
            before,
            { type: 'float32' as const, data: state.get(name) ?? new Float32Array(), dims: shape },
          ]),
        ),
        [plan.names.data[0] ?? '']: floats([24, 3, 12, 12], 5),
        [plan.names.labels]: {
          type: 'int32',
          data: Int32Array.from({ length: 24 }, (_, i) => i % 3),
          dims: [24],
        },
        [plan.names.order]: { type: 'int32', data: Int32Array.from(rows), dims: [steps.length, 4] },
      },
    ]);
    state = new Map(
      plan.weights.map(({ name, after }) => [name, result?.[after]?.data ?? new Float32Array()]),
    );
  }
  return state;
}

/** Sixteenths between -1 and 1, without a pattern. */
function floats(dims: Shape, seed: number): Feed {
  let state = seed + 1;
  const data = Float32Array.from({ length: elementCount(dims) }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return ((state >>> 16) % 33) / 16 - 1;
  });
  return { type: 'float32', data, dims };
}
