import { describe, expect, test } from '@jest/globals';
import { appendLoss, type LossOptions } from '#trainer/loss.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import type { Optimizer, Schedule } from '#trainer/optimizers.js';
import { scheduleFactor } from '#trainer/optimizers.js';
import { readTensors, writeJob } from './job.js';
import { linear } from './models.js';
import type { Feed } from './onnxRuntime.js';
import { startRuntime, startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();
const runtime = startRuntime();

const start = (index: number) => Math.cos(index) / 4;
const samples = 6;
const x = Float32Array.from({ length: samples * 4 }, (_, i) => Math.sin(3 * i));
const y = Uint8Array.from({ length: samples }, (_, i) => (i * i) % 3);

interface Rule {
  optimizer: Optimizer;
  schedule?: Schedule;
  clipNorm?: number;
  prox?: number;
  undecayed?: string[];
}

describe('optimisers step as torch.optim defines them', () => {
  test.each<[string, Rule]>([
    ['momentum', { optimizer: { name: 'sgd', lr: 0.2, momentum: 0.9 } }],
    [
      'Nesterov with weight decay',
      { optimizer: { name: 'sgd', lr: 0.2, momentum: 0.8, nesterov: true, weightDecay: 0.1 } },
    ],
    ['Adam with weight decay', { optimizer: { name: 'adam', lr: 0.05, weightDecay: 0.1 } }],
    ['AdamW', { optimizer: { name: 'adamw', lr: 0.05, weightDecay: 0.3, betas: [0.8, 0.9] } }],
    [
      'AdamW that leaves the bias alone',
      { optimizer: { name: 'adamw', lr: 0.05, weightDecay: 0.3 }, undecayed: ['b'] },
    ],
    ['clipping by norm', { optimizer: { name: 'sgd', lr: 0.2 }, clipNorm: 0.1 }],
    [
      'a warm-up and a cosine',
      { optimizer: { name: 'sgd', lr: 0.2 }, schedule: { name: 'cosine', warmup: 2 } },
    ],
    ['FedProx with momentum', { optimizer: { name: 'sgd', lr: 0.2, momentum: 0.5 }, prox: 0.5 }],
  ])('%s', async (_, rule) => {
    // One batch of all samples: their order does not matter.
    const request = writeJob(
      folder,
      linear(start),
      { shape: [4], x, y },
      { batch: samples, epochs: 5, ...rule },
    );
    await training.train(request);
    const { w, b } = readTensors(request.out);
    const expected = reference(rule, 5);
    [...(w ?? []), ...(b ?? [])].forEach((value, index) =>
      expect(Math.abs(value - (expected[index] ?? NaN))).toBeLessThan(2e-6),
    );
  });
});

test('the learning rate rises over the warm-up and falls along the cosine', () => {
  const rates = Array.from({ length: 6 }, (_, i) => scheduleFactor({ name: 'cosine', warmup: 2 }, i + 1, 6));
  expect(rates[0]).toBeCloseTo(1 / 3);
  expect(rates[2]).toBe(1);
  expect(rates[4]).toBeCloseTo(0.5);
  expect(scheduleFactor({ name: 'constant' }, 100, 6)).toBe(1);
});

describe('losses and their gradients are those of the formula', () => {
  const shape = [2, 2, 3];
  const logits = Float32Array.from({ length: 12 }, (_, i) => Math.sin(5 * i) * 2);
  const numbers = Float32Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const ids = Int32Array.of(2, -100, 0, 1);
  const logSoftmax = (row: number) => {
    const part = Array.from(logits.slice(3 * row, 3 * row + 3));
    const total = Math.log(part.reduce((sum, z) => sum + Math.exp(z), 0));
    return part.map((z) => z - total);
  };
  const smoothed = (row: number, smoothing: number) =>
    logSoftmax(row).reduce(
      (sum, log, c) => sum - log * ((c === ids[row] ? 1 - smoothing : 0) + smoothing / 3),
      0,
    );
  const counted = [0, 2, 3];

  test.each<[string, LossOptions, Feed, number]>([
    [
      'softmax over positions, with smoothing and an ignored label',
      { name: 'softmax_cross_entropy', labelSmoothing: 0.1, ignoredLabel: -100 },
      { type: 'int32', data: ids, dims: [2, 2] },
      counted.reduce((sum, row) => sum + smoothed(row, 0.1), 0) / 3,
    ],
    [
      'next token',
      { name: 'next_token' },
      { type: 'int32', data: Int32Array.of(1, 2, 0, 1), dims: [2, 2] },
      -((logSoftmax(0)[2] ?? 0) + (logSoftmax(2)[1] ?? 0)) / 2,
    ],
    [
      'mean square',
      { name: 'mse' },
      { type: 'float32', data: numbers, dims: shape },
      logits.reduce((sum, z, i) => sum + (z - (numbers[i] ?? 0)) ** 2, 0) / 12,
    ],
    [
      'binary cross-entropy',
      { name: 'bce_with_logits' },
      { type: 'float32', data: numbers, dims: shape },
      logits.reduce((sum, z, i) => sum + Math.log1p(Math.exp(z)) - z * (numbers[i] ?? 0), 0) / 12,
    ],
  ])('%s', async (_, options, labels, expected) => {
    const builder = new GraphBuilder();
    const loss = appendLoss(builder, options, 'logits', shape, 'labels');
    const slope = builder.node('Identity', [loss.gradient(2)]);
    const graph = builder.graph(
      'loss',
      [valueInfo('logits', shape), valueInfo('labels', labels.dims, labels.type === 'int32' ? 6 : 1)],
      [valueInfo(loss.mean, []), valueInfo(slope, shape)],
    );
    const step = 1 / 64;
    const moved = [...logits].flatMap((_, i) =>
      [step, -step].map((by) => Float32Array.from(logits, (z, at) => (at === i ? z + by : z))),
    );
    const feeds = [logits, ...moved].map((data) => ({
      logits: { type: 'float32' as const, data, dims: shape },
      labels,
    }));
    const [first, ...others] = await runtime.run(encodeModel(graph, 18), feeds);
    expect(first?.[loss.mean]?.data[0]).toBeCloseTo(expected, 5);
    const values = others.map((result) => result[loss.mean]?.data[0] ?? NaN);
    first?.[slope]?.data.forEach((gradient, i) => {
      const numeric = (2 * ((values[2 * i] ?? NaN) - (values[2 * i + 1] ?? NaN))) / (2 * step);
      expect(Math.abs(gradient - numeric)).toBeLessThan(2e-4);
    });
  });
});

/** The steps of torch.optim, written out in float64. */
function reference({ optimizer, schedule, clipNorm, prox = 0, undecayed }: Rule, steps: number): number[] {
  const first = Array.from({ length: 15 }, (_, index) => Math.fround(start(index)));
  let weights = [...first];
  const [m, v] = [first.map(() => 0), first.map(() => 0)];
  for (let step = 1; step <= steps; step++) {
    let gradient = gradientOf(weights);
    const norm = Math.hypot(...gradient);
    if (clipNorm !== undefined) gradient = gradient.map((g) => g * Math.min(1, clipNorm / (norm + 1e-6)));
    gradient = gradient.map((g, i) => g + prox * ((weights[i] ?? 0) - (first[i] ?? 0)));
    const lr = optimizer.lr * (schedule ? scheduleFactor(schedule, step, steps) : 1);
    weights = weights.map((weight, i) => {
      const decay = undecayed?.includes(i < 12 ? 'w' : 'b') ? 0 : (optimizer.weightDecay ?? 0);
      let g = gradient[i] ?? 0;
      if (optimizer.name !== 'adamw') g += decay * weight;
      if (optimizer.name === 'sgd') {
        const momentum = optimizer.momentum ?? 0;
        const velocity = momentum * (m[i] ?? 0) + g;
        m[i] = velocity;
        return weight - lr * (optimizer.nesterov ? g + momentum * velocity : velocity);
      }
      const [b1, b2] = optimizer.betas ?? [0.9, 0.999];
      const mean = b1 * (m[i] ?? 0) + (1 - b1) * g;
      const square = b2 * (v[i] ?? 0) + (1 - b2) * g * g;
      [m[i], v[i]] = [mean, square];
      const kept = optimizer.name === 'adamw' ? weight * (1 - lr * decay) : weight;
      return kept - (lr * mean) / (1 - b1 ** step) / (Math.sqrt(square / (1 - b2 ** step)) + 1e-8);
    });
  }
  return weights;
}

/** Of the mean softmax cross-entropy of the linear classifier. */
function gradientOf(weights: readonly number[]): number[] {
  const gradient = weights.map(() => 0);
  for (let i = 0; i < samples; i++) {
    const inputs = Array.from(x.slice(4 * i, 4 * i + 4));
    const logits = [0, 1, 2].map((c) =>
      inputs.reduce((sum, value, k) => sum + value * (weights[4 * c + k] ?? 0), weights[12 + c] ?? 0),
    );
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
    logits.forEach((z, c) => {
      const excess = (Math.exp(z) / total - Number(c === y[i])) / samples;
      inputs.forEach((value, k) => (gradient[4 * c + k] = (gradient[4 * c + k] ?? 0) + excess * value));
      gradient[12 + c] = (gradient[12 + c] ?? 0) + excess;
    });
  }
  return gradient;
}
