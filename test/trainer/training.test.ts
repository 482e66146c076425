import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { compileTraining } from '#trainer/compile/training.js';
import { readModel } from '#trainer/model.js';
import { classOfFlags } from '#trainer/run/hardware.js';
import { permutation } from '#trainer/run/permutation.js';
import { cnn, twoLayers } from '../../examples/mnist/models.js';
import { digits, readTensors, writeJob } from './job.js';
import { linear } from './models.js';
import type { Feed } from './onnxRuntime.js';
import { startRuntime, startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();
const runtime = startRuntime();

const start = (index: number) => Math.cos(index) / 4;

describe('the result is that of SGD written out by hand', () => {
  const samples = 10;
  const x = Float32Array.from({ length: samples * 4 }, (_, i) => Math.sin(3 * i));
  const y = Uint8Array.from({ length: samples }, (_, i) => (i * i) % 3);
  const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
  test.each([
    ['batches that divide the data', { batch: 5 }],
    ['a last batch of what is left', { batch: 4 }],
    ['a batch of all samples', { batch: 10 }],
    ['a batch beyond all samples', { batch: 64 }],
    ['FedProx', { batch: 4, prox: 0.5 }],
  ])('%s', async (_, { batch, ...options }: { batch: number; prox?: number }) => {
    const request = writeJob(
      folder,
      linear(start),
      { shape: [4], x, y },
      { batch, epochs: 3, seed, optimizer: { name: 'sgd', lr: 0.2 }, ...options },
    );
    const result = await training.train(request);
    const expected = reference(batch, 3, 0.2, options.prox ?? 0);
    const { w, b } = readTensors(request.out);
    expect(result.steps).toBe(3 * Math.ceil(samples / batch));
    expect(result.loss).toBeCloseTo(expected.loss, 5);
    [...(w ?? []), ...(b ?? [])].forEach((value, index) =>
      expect(value).toBeCloseTo(expected.weights[index] ?? NaN, 5),
    );

    const judged = await training.evaluate({
      graph: request.graph,
      weights: request.out,
      data: request.data,
      batch: 3,
    });
    const rows = Array.from({ length: samples }, (_, i) => probabilities(expected.weights, i));
    expect(judged.correct).toBe(rows.filter((row, i) => row.indexOf(Math.max(...row)) === y[i]).length);
    expect(judged.loss).toBeCloseTo(
      rows.reduce((sum, row, i) => sum - Math.log(row[y[i] ?? 0] ?? 0), 0) / samples,
      5,
    );
  });

  function probabilities(weights: readonly number[], sample: number): number[] {
    const logits = [0, 1, 2].map((c) =>
      [0, 1, 2, 3].reduce(
        (sum, k) => sum + (weights[4 * c + k] ?? 0) * (x[4 * sample + k] ?? 0),
        weights[12 + c] ?? 0,
      ),
    );
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
    return logits.map((z) => Math.exp(z) / total);
  }

  function reference(
    batch: number,
    epochs: number,
    lr: number,
    prox: number,
  ): { weights: number[]; loss: number } {
    const first = Array.from({ length: 15 }, (_, index) => Math.fround(start(index)));
    let weights = [...first];
    let loss = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = [...permutation(seed, epoch, samples)];
      loss = 0;
      for (let from = 0; from < samples; from += batch) {
        const rows = order.slice(from, from + batch);
        const gradient = weights.map((value, index) => prox * (value - (first[index] ?? 0)));
        for (const i of rows) {
          const p = probabilities(weights, i);
          loss -= Math.log(p[y[i] ?? 0] ?? 0) / samples;
          for (const c of [0, 1, 2]) {
            const excess = ((p[c] ?? 0) - Number(c === y[i])) / rows.length;
            for (const k of [0, 1, 2, 3])
              gradient[4 * c + k] = (gradient[4 * c + k] ?? 0) + excess * (x[4 * i + k] ?? 0);
            gradient[12 + c] = (gradient[12 + c] ?? 0) + excess;
          }
        }
        weights = weights.map((value, index) => value - lr * (gradient[index] ?? 0));
      }
    }
    return { weights, loss };
  }
});

test.each([
  ['the small CNN', cnn, [1, 28, 28]],
  ['the 2NN', twoLayers, [784]],
])('%s: one run over many steps and a run for each step give the same bits', async (_, make, shape) => {
  const { graph, weights } = readModel(make());
  const {
    model,
    names,
    weights: planned,
  } = compileTraining(graph, {
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'sgd', lr: 0.1 },
    batch: 10,
    inputs: ['uint8'],
  });
  const { x, y } = digits(0, 60);
  const order = Int32Array.from({ length: 60 }, (_, i) => (i * 7) % 60);
  const feeds = (
    values: Record<string, Float32Array>,
    from: number,
    steps: number,
  ): Record<string, Feed> => ({
    [names.data[0] ?? '']: { type: 'uint8', data: x as Uint8Array, dims: [60, ...shape] },
    [names.labels]: { type: 'int32', data: Int32Array.from(y, Number), dims: [60] },
    [names.order]: { type: 'int32', data: order.slice(from * 10, (from + steps) * 10), dims: [steps, 10] },
    ...Object.fromEntries(
      planned.map(({ name, before, shape }) => [
        before,
        { type: 'float32' as const, data: values[name] ?? new Float32Array(), dims: shape },
      ]),
    ),
  });
  const start = Object.fromEntries(weights.map(({ name, data }) => [name, data]));
  const [together] = await runtime.run(model, [feeds(start, 0, 6)]);
  let values = start;
  const losses: number[] = [];
  for (let step = 0; step < 6; step++) {
    const [result] = await runtime.run(model, [feeds(values, step, 1)]);
    values = Object.fromEntries(
      planned.map(({ name, after }) => [name, result?.[after]?.data ?? new Float32Array()]),
    );
    losses.push(...(result?.[names.losses]?.data ?? []));
  }
  for (const { name, after } of planned) expect(together?.[after]?.data).toEqual(values[name]);
  expect([...(together?.[names.losses]?.data ?? [])]).toEqual(losses);
  expect(losses[5]).not.toBe(losses[0]);
});

describe('the order of an epoch', () => {
  test('visits every sample once, differently in each epoch', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.integer({ min: 1, max: 300 }),
        (seed, count) => {
          const order = permutation(seed, 0, count);
          expect([...order].sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
          if (count > 20) expect(permutation(seed, 1, count)).not.toEqual(order);
          expect(permutation(seed, 0, count)).toEqual(order);
        },
      ),
    );
  });

  test('is frozen by a vector', () => {
    const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
    expect([...permutation(seed, 0, 10)]).toEqual([6, 3, 0, 5, 2, 4, 7, 1, 9, 8]);
    expect([...permutation(seed, 1, 10)]).toEqual([9, 1, 5, 3, 0, 8, 2, 4, 6, 7]);
  });
});

const flags = (list: string) => `processor\t: 0\nflags\t\t: fpu sse2 ${list}\nbugs\t\t: none\n`;

test('processors fall into the classes that decide the bits', () => {
  expect(classOfFlags(flags('avx2 fma avx512f avx512bw avx512dq avx512vl'))).toBe('avx512');
  expect(classOfFlags(flags('avx2 fma avx512f'))).toBe('avx2');
  expect(classOfFlags(flags('avx'))).toBe('sse');
});
