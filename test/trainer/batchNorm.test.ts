import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { statisticsOf } from '#trainer/batchNorm.js';
import { readGraph } from '#trainer/graph.js';
import { readModel, writeModel } from '#trainer/model.js';
import type { TrainRequest } from '#trainer/run/trainingProcess.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { readTensors, writeJob } from './job.js';
import { linear, modelOf, weight } from './models.js';
import { startRuntime, startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();
const runtime = startRuntime();

const code = (expected: string) => expect.objectContaining({ code: expected });

/** Two channels of four values, normalised with running mean 0.5 and -1, variance 2 and 4; then three classes. */
const normed = (momentum = 0.9) =>
  modelOf([2, 4], (builder) => {
    builder.constants.push(
      floatTensor('norm.scale', [2], Float32Array.of(1, 1.5)),
      floatTensor('norm.shift', [2], Float32Array.of(0, 0.25)),
      floatTensor('norm.mean', [2], Float32Array.of(0.5, -1)),
      floatTensor('norm.variance', [2], Float32Array.of(2, 4)),
      floatTensor(
        'head',
        [8, 3],
        Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      ),
    );
    const normal = builder.node(
      'BatchNormalization',
      ['x', 'norm.scale', 'norm.shift', 'norm.mean', 'norm.variance'],
      { momentum: { float: momentum } },
    );
    const flat = builder.node('Flatten', [normal]);
    builder.node('Gemm', [flat, 'head'], {}, 'logits');
  });
const samples = {
  shape: [2, 4],
  x: Float32Array.from({ length: 6 * 8 }, (_, i) => 2 * Math.sin(3 * i) + (i % 8 < 4 ? 1 : -2)),
  y: Uint8Array.from({ length: 6 }, (_, i) => i % 3),
};

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of each channel: mean, and variance with n - 1, over some samples. */
function moments(from: number, to: number) {
  const channel = (at: number) =>
    Array.from(samples.x.subarray(from * 8, to * 8)).filter((_, i) => Math.floor((i % 8) / 4) === at);
  return [0, 1].map((at) => {
    const values = channel(at);
    const centre = mean(values);
    const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
    return { mean: centre, variance: squares / (values.length - 1) };
  });
}

function job(name: string, changes: Partial<TrainRequest> = {}, model = normed()) {
  const out = join(folder, `${name}.statistics`);
  return { request: writeJob(folder, model, samples, { batch: 6, statistics: { out }, ...changes }), out };
}

const close = (values: Float32Array | undefined, expected: number[]) =>
  expected.forEach((value, i) => expect(values?.[i]).toBeCloseTo(value, 5));

/** Tensors with their shapes. */
const read = (path: string) =>
  Object.entries(readTensors(path)).map(([name, data]) => ({
    name,
    dims: name === 'head' ? [8, 3] : [2],
    data,
  }));

describe('local statistics', () => {
  test('move by the momentum towards those of the batch, the variance unbiased', async () => {
    const { request, out } = job('once');
    await training.train(request);
    const [first, second] = moments(0, 6);
    const kept = readTensors(out);
    close(kept['norm.mean'], [0.9 * 0.5 + 0.1 * (first?.mean ?? 0), -0.9 + 0.1 * (second?.mean ?? 0)]);
    close(kept['norm.variance'], [
      0.9 * 2 + 0.1 * (first?.variance ?? 0),
      0.9 * 4 + 0.1 * (second?.variance ?? 0),
    ]);
  });

  test('are in no file that leaves the runner', async () => {
    const { request } = job('private');
    await training.train(request);
    expect(Object.keys(readTensors(request.out)).sort()).toEqual(['head', 'norm.scale', 'norm.shift']);
  });

  test('go on from where the last training left them', async () => {
    const whole = job('whole', { epochs: 2, optimizer: { name: 'sgd', lr: 1e-9 } });
    await training.train(whole.request);
    const first = job('first', { optimizer: { name: 'sgd', lr: 1e-9 } });
    await training.train(first.request);
    const out = join(folder, 'second.statistics');
    await training.train({ ...first.request, statistics: { before: first.out, out } });
    const [twice, once] = [readTensors(out), readTensors(first.out)];
    close(twice['norm.mean'], [...(readTensors(whole.out)['norm.mean'] ?? [])]);
    expect(twice['norm.mean']).not.toEqual(once['norm.mean']);
  });

  test('of a step in parts are those of each part in turn', async () => {
    const { request, out } = job('parts', { accumulate: 2 });
    await training.train(request);
    // The order of the samples is the seed's: with every order, two parts of three move twice.
    const kept = readTensors(out);
    const { request: whole, out: one } = job('one part');
    await training.train(whole);
    const means = moments(0, 6).map(({ mean }) => mean);
    const moved = [0.5, -1].map((start, i) => 0.81 * start + 0.19 * (means[i] ?? 0));
    moved.forEach((value, i) => expect(Math.abs((kept['norm.mean']?.[i] ?? 0) - value)).toBeLessThan(0.05));
    expect(kept['norm.mean']).not.toEqual(readTensors(one)['norm.mean']);
  });

  test('of a training that was interrupted are those of one that was not', async () => {
    const long = { epochs: 3_000, batch: 2 };
    const { request, out } = job('whole run', long);
    await training.train(request);
    const checkpoint = join(folder, 'norm.checkpoint');
    const broken = { ...request, checkpoint, throttle: 2, statistics: { out: join(folder, 'broken') } };
    const control = new AbortController();
    const began = Date.now();
    await training
      .train(broken, {
        signal: control.signal,
        onProgress: () => void (Date.now() - began > 2_500 && control.abort()),
      })
      .catch((error: unknown) => expect(error).toEqual(code('TRAINING_ABORTED')));
    await training.train({ ...broken, throttle: 1 });
    expect(readFileSync(join(folder, 'broken'))).toEqual(readFileSync(out));
    expect(readFileSync(request.out)).toEqual(readFileSync(broken.out));
  });

  test('of another model are refused', async () => {
    const { request } = job('mine');
    const other = join(folder, 'other.statistics');
    writeFileSync(other, readFileSync(request.weights));
    const outcome = training.train({ ...request, statistics: { before: other, out: other } });
    await expect(outcome).rejects.toThrow(code('FORMAT_INVALID'));
  });

  test('are asked of a model that has none in vain', () => {
    expect(() => readModel(linear(), { batchNorm: 'local' })).toThrow(code('MODEL_UNSUPPORTED'));
    expect(() => readModel(linear(), { batchNorm: 'frozen' })).not.toThrow();
  });
});

test('frozen statistics stay those of the model, and normalise', async () => {
  const { request } = job('frozen');
  const { statistics: _, ...frozen } = request;
  await training.train(frozen);
  const trained = readTensors(frozen.out);
  expect(Object.keys(trained).sort()).toEqual(['head', 'norm.scale', 'norm.shift']);
  const kept = statisticsOf(readGraph(readFileSync(frozen.graph)));
  expect(Object.fromEntries(kept.map(({ name, data }) => [name, [...data]]))).toEqual({
    'norm.mean': [0.5, -1],
    'norm.variance': [2, 4],
  });
});

test('norms whose statistics an exporter merged have each their own', async () => {
  const model = modelOf([2, 4], (builder) => {
    builder.constants.push(floatTensor('zeros', [2], new Float32Array(2)));
    builder.constants.push(floatTensor('ones', [2], new Float32Array(2).fill(1)));
    const norm = (value: string, name: string) => {
      const own = ['scale', 'shift'].map((part) => weight(builder, `${name}.${part}`, [2]));
      return builder.node('BatchNormalization', [value, ...own, 'zeros', 'ones']);
    };
    const flat = builder.node('Flatten', [norm(norm('x', 'a'), 'b')]);
    builder.node('Gemm', [flat, weight(builder, 'head', [8, 3])], {}, 'logits');
  });
  const { request, out } = job('merged', {}, model);
  await training.train(request);
  const kept = readTensors(out);
  expect(Object.keys(kept).sort()).toEqual(['ones', 'ones/b.scale', 'zeros', 'zeros/b.scale']);
  // What the first one gives has the mean of its shift, 0.25.
  close(kept['zeros/b.scale'], [0.025, 0.025]);
  close(
    kept['zeros'],
    moments(0, 6).map(({ mean }) => 0.1 * mean),
  );
});

describe('a version that was trained with local statistics', () => {
  test('is written with those of whoever trained it, and normalises by them', async () => {
    const { request, out } = job('written', { epochs: 3 });
    await training.train(request);
    const file = writeModel(readFileSync(request.graph), read(request.out), read(out));
    const feed = { x: { type: 'float32' as const, data: samples.x.subarray(0, 8), dims: [1, 2, 4] } };
    const [result] = await runtime.run(file, [feed]);
    const [trained, kept] = [readTensors(request.out), readTensors(out)];
    const expected = [0, 1, 2].map((label) =>
      samples.x.subarray(0, 8).reduce((sum, x, i) => {
        const at = Math.floor(i / 4);
        const [mean = 0, variance = 0] = [kept['norm.mean']?.[at], kept['norm.variance']?.[at]];
        const normal = (x - mean) / Math.sqrt(variance + 1e-5);
        const value = normal * (trained['norm.scale']?.[at] ?? 0) + (trained['norm.shift']?.[at] ?? 0);
        return sum + value * (trained['head']?.[i * 3 + label] ?? 0);
      }, 0),
    );
    close(result?.['logits']?.data as Float32Array, expected);
  });

  test('is judged by the statistics of each batch', async () => {
    const { request } = job('judged', { optimizer: { name: 'sgd', lr: 1e-9 } });
    const question = { graph: request.graph, weights: request.weights, data: request.data, batch: 6 };
    const own = await training.evaluate(question);
    const local = await training.evaluate({ ...question, batchNorm: 'local' });
    // The loss of the only step was taken by the statistics of this very batch.
    const { loss } = await training.train(request);
    expect(local.loss).toBeCloseTo(loss, 5);
    expect(Math.abs(own.loss - loss)).toBeGreaterThan(1e-2);
  });
});
