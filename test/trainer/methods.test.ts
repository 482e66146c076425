import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { bytesOf } from '#core/bytes.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { appendMasks } from '#trainer/dropout.js';
import { readModel } from '#trainer/model.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { TensorProto_DataType } from '#trainer/onnx/onnx.gen.js';
import { matcher } from '#trainer/patterns.js';
import { partsOf } from '#trainer/compile/options.js';
import { twoLayers } from '../../examples/mnist/models.js';
import { fewSamples, flatDigits, readTensors, writeJob, writeWeightsFile } from './job.js';
import { linear, weight } from './models.js';
import { startRuntime, startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();
const runtime = startRuntime();

const tiny = fewSamples(23);
const largest = (a: Record<string, Float32Array>, b: Record<string, Float32Array>) =>
  Math.max(
    ...Object.entries(a).flatMap(([name, values]) =>
      [...values].map((value, i) => Math.abs(value - (b[name]?.[i] ?? NaN))),
    ),
  );

describe('patterns', () => {
  test.each([
    ['head.*', 'head.weight', true],
    ['head.*', 'ahead.weight', false],
    ['*.bias', 'a.b.bias', true],
    ['*.bias', 'bias', false],
    ['a*b*c', 'a1b2b3c', true],
    ['a*b*c', 'acb', false],
    ['*', '', true],
    ['w', 'w', true],
    ['w', 'ww', false],
    ['a.c', 'abc', false],
  ])('%s and %s: %s', (pattern, name, meets) => expect(matcher([pattern])(name)).toBe(meets));
});

const seed = (value: bigint) => ({
  seed: { type: 'int64' as const, data: BigInt64Array.of(value), dims: [] },
});
const kept = (values: Float32Array | undefined) => [...(values ?? [])].filter((value) => value > 0);

describe('dropout', () => {
  const builder = new GraphBuilder();
  const masks = [
    { name: 'half', shape: [40, 50], share: 0.5 },
    { name: 'tenth', shape: [40, 50], share: 0.1 },
  ];
  appendMasks(builder, masks, 'seed');
  const model = encodeModel(
    builder.graph(
      'masks',
      [valueInfo('seed', [], TensorProto_DataType.INT64)],
      masks.map(({ name, shape }) => valueInfo(name, shape)),
    ),
    18,
  );

  test('zeroes its share of values and scales the others; the seed decides which', async () => {
    const [one, again, other] = await runtime.run(model, [seed(7n), seed(7n), seed(-(2n ** 61n))]);
    expect(new Set(one?.['half']?.data)).toEqual(new Set([0, 2]));
    expect(kept(one?.['half']?.data).length / 2000).toBeCloseTo(0.5, 1);
    expect(kept(one?.['tenth']?.data).length / 2000).toBeCloseTo(0.9, 1);
    expect(kept(one?.['tenth']?.data)[0]).toBeCloseTo(1 / 0.9);
    expect(again).toEqual(one);
    const same = [...(one?.['half']?.data ?? [])].filter((value, i) => value === other?.['half']?.data[i]);
    expect(same.length / 2000).toBeCloseTo(0.5, 1);
  });

  test('trains to the same bits for the same seed, and changes what is learnt', async () => {
    const request = writeJob(folder, twoLayers(), flatDigits(0, 100), { dropout: { 'fc1.weight': 0.5 } });
    await training.train(request);
    const first = readFileSync(request.out);
    await training.train({ ...request, throttle: 3 });
    expect(readFileSync(request.out).equals(first)).toBe(true);
    const { dropout: _, ...plain } = request;
    await training.train(plain);
    expect(readFileSync(request.out).equals(first)).toBe(false);
  });

  test('of a pattern that nothing meets is refused, and the nodes are named', async () => {
    const request = writeJob(folder, linear(), tiny, { dropout: { 'nothing*': 0.5 } });
    await expect(training.train(request)).rejects.toThrow(/nothing\*.*Gemm/);
  });
});

describe('accumulated gradients', () => {
  test('are those of the whole batch, also of the last, smaller one', async () => {
    const change = { batch: 8, optimizer: { name: 'sgd', lr: 0.1, momentum: 0.9 }, epochs: 2 } as const;
    const request = writeJob(folder, linear(Math.sin), tiny, change);
    const result = await training.train(request);
    const whole = readTensors(request.out);
    const parts = await training.train({ ...request, accumulate: 4 });
    expect(parts.steps).toBe(result.steps);
    expect(parts.loss).toBeCloseTo(result.loss, 5);
    expect(largest(whole, readTensors(request.out))).toBeLessThan(1e-6);
  });

  test.each([
    [8, 8, 1, 1],
    [8, 8, 4, 4],
    [7, 8, 4, 7],
    [6, 8, 2, 2],
    [2, 8, 4, 1],
    [5, 8, 2, 5],
  ])('%d samples of a batch of %d in %d parts are computed in %d', (size, batch, accumulate, parts) =>
    expect(partsOf(size, batch, accumulate)).toBe(parts),
  );
});

test('SCAFFOLD moves a step by the control variates and gives back the next one', async () => {
  const samples = { shape: [4], x: tiny.x.subarray(0, 16), y: tiny.y.subarray(0, 4) };
  const request = writeJob(folder, linear(Math.sin), samples, { batch: 4 });
  await training.train(request);
  const plain = readTensors(request.out);
  const { weights } = readModel(linear(Math.sin));
  const file = (name: string, value: number) => {
    const path = join(folder, `${name}.safetensors`);
    writeWeightsFile(
      path,
      weights.map((weight) => ({ ...weight, data: weight.data.map(() => value) })),
    );
    return path;
  };
  const control = { server: file('c', 0.5), own: file('ci', 0.125), out: join(folder, 'next.safetensors') };
  await training.train({ ...request, control });
  const corrected = readTensors(request.out);
  const [start, next] = [readTensors(request.weights), readTensors(control.out)];
  for (const [name, values] of Object.entries(corrected))
    values.forEach((value, i) => {
      expect(value).toBeCloseTo((plain[name]?.[i] ?? NaN) - 0.1 * (0.5 - 0.125), 6);
      expect(next[name]?.[i]).toBeCloseTo(0.125 - 0.5 + ((start[name]?.[i] ?? NaN) - value) / 0.1, 5);
    });
  const momentum = { ...request, control, optimizer: { name: 'sgd', lr: 0.1, momentum: 0.9 } as const };
  await expect(training.train(momentum)).rejects.toThrow(/control variates/);
});

test('a loss that explodes stops the training with step and batch', async () => {
  const request = writeJob(folder, linear(), tiny, {
    loss: 'mse',
    optimizer: { name: 'sgd', lr: 90 },
    epochs: 20,
    batch: 4,
  });
  const numbers = {
    name: 'y',
    dtype: 'F32' as const,
    shape: [23, 3],
    data: bytesOf(new Float32Array(69).fill(1)),
  };
  const x = { name: 'x', dtype: 'F32' as const, shape: [23, 4], data: bytesOf(tiny.x) };
  writeFileSync(request.data, encodeSafetensors([x, numbers]));
  await expect(training.train(request)).rejects.toThrow(
    expect.objectContaining({
      code: 'TRAINING_DIVERGED',
      message: expect.stringMatching(/step \d+ of 120 \(epoch \d+, batch \d+ of 6\)/),
    }),
  );
});

test('a model of several inputs reads x/NAME, and says what it lacks', async () => {
  const builder = new GraphBuilder();
  weight(builder, 'w', [4, 3]);
  const joined = builder.node('Mul', ['x', 'scale']);
  builder.node('MatMul', [joined, 'w'], {}, 'logits');
  const model = encodeModel(
    builder.graph(
      'two',
      [valueInfo('x', ['n', 4]), valueInfo('scale', ['n', 1])],
      [valueInfo('logits', ['n', 3])],
    ),
    18,
  );
  const request = writeJob(folder, model, tiny, { epochs: 5, batch: 4 });
  await expect(training.train(request)).rejects.toThrow(/inputs x, scale/);
  const scale = {
    name: 'x/scale',
    dtype: 'F32' as const,
    shape: [23, 1],
    data: bytesOf(new Float32Array(23).fill(2)),
  };
  const x = { name: 'x/x', dtype: 'F32' as const, shape: [23, 4], data: bytesOf(tiny.x) };
  const y = { name: 'y', dtype: 'U8' as const, shape: [23], data: tiny.y };
  writeFileSync(request.data, encodeSafetensors([scale, x, y]));
  const { graph, weights, data } = request;
  const before = await training.evaluate({ graph, weights, data, batch: 23 });
  await training.train(request);
  const after = await training.evaluate({ graph, weights: request.out, data, batch: 23 });
  expect(after.loss).toBeLessThan(before.loss);
});

test('where bits do not matter a device is looked for, and trains what the others train', async () => {
  const request = writeJob(folder, linear(Math.sin), tiny, { batch: 8 });
  await training.train(request);
  const expected = readTensors(request.out);
  const { runtime: used } = await training.train({ ...request, determinism: 'fast' });
  expect(['cuda', 'webgpu', 'dml', 'coreml', 'cpu']).toContain(used.provider);
  expect(used.threads).toBeGreaterThan(0);
  expect(largest(expected, readTensors(request.out))).toBeLessThan(1e-4);
});
