import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { bytesOf } from '#core/bytes.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { readModel } from '#trainer/model.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import type { EvaluateRequest } from '#trainer/run/trainingProcess.js';
import { writeWeightsFile } from './job.js';
import { linear } from './models.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();

type Tensor = { dtype: 'F32' | 'I32' | 'I64'; shape: number[]; data: ArrayBufferView };

/** Writes graph, weights and data, and asks for the judgement. */
function judge(
  name: string,
  model: Uint8Array,
  data: Record<string, Tensor>,
  change: Partial<EvaluateRequest>,
) {
  const { graph, weights } = readModel(model);
  const paths = {
    graph: join(folder, `${name}.onnx`),
    weights: join(folder, `${name}.weights`),
    data: join(folder, `${name}.data`),
  };
  writeFileSync(paths.graph, graph);
  writeWeightsFile(paths.weights, weights);
  const tensors = Object.entries(data).map(([key, { dtype, shape, data: values }]) => ({
    name: key,
    dtype,
    shape,
    data: bytesOf(values),
  }));
  writeFileSync(paths.data, encodeSafetensors(tensors));
  return training.evaluate({ ...paths, batch: 2, ...change });
}

const x = Float32Array.from({ length: 5 * 4 }, (_, i) => Math.sin(2 * i));
const weightAt = (index: number) => Math.cos(index);
const logits = Array.from({ length: 5 }, (_, n) =>
  Array.from(
    { length: 3 },
    (_, c) =>
      weightAt(12 + c) + [0, 1, 2, 3].reduce((sum, k) => sum + (x[4 * n + k] ?? 0) * weightAt(4 * c + k), 0),
  ),
);
const features: Tensor = { dtype: 'F32', shape: [5, 4], data: x };
const logSum = (row: readonly number[]) => Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0));
const best = (row: readonly number[]) => row.indexOf(Math.max(...row));

describe('a version is judged by the loss of its job', () => {
  test('classes: cross-entropy, and the share that was told rightly', async () => {
    const ids = [0, 2, 1, 1, 2];
    const y: Tensor = { dtype: 'I32', shape: [5], data: Int32Array.from(ids) };
    const result = await judge('classes', linear(weightAt), { x: features, y }, {});
    const loss = logits.reduce((sum, row, n) => sum + logSum(row) - (row[ids[n] ?? 0] ?? 0), 0) / 5;
    expect(result.loss).toBeCloseTo(loss, 5);
    expect(result.correct).toBe(logits.filter((row, n) => best(row) === ids[n]).length);
    expect(result.accuracy).toBe((result.correct ?? 0) / 5);
  });

  test('labels that are ignored count neither for nor against', async () => {
    const ids = [0, -100, 1, -100, 2];
    const y: Tensor = { dtype: 'I32', shape: [5], data: Int32Array.from(ids) };
    const result = await judge('ignored', linear(weightAt), { x: features, y }, { ignoredLabel: -100 });
    const counted = [0, 2, 4];
    const losses = counted.map((n) => logSum(logits[n] ?? []) - (logits[n]?.[ids[n] ?? 0] ?? 0));
    expect(result.loss).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / 3, 5);
    expect(result.correct).toBe(counted.filter((n) => best(logits[n] ?? []) === ids[n]).length);
    expect(result.accuracy).toBe((result.correct ?? 0) / 3);
  });

  test('numbers: the mean square, and no accuracy', async () => {
    const numbers = Float32Array.from({ length: 15 }, (_, i) => Math.cos(5 * i));
    const y: Tensor = { dtype: 'F32', shape: [5, 3], data: numbers };
    const result = await judge('mse', linear(weightAt), { x: features, y }, { loss: 'mse' });
    const squares = logits.flat().map((value, i) => (value - (numbers[i] ?? 0)) ** 2);
    expect(result.loss).toBeCloseTo(squares.reduce((a, b) => a + b, 0) / 15, 5);
    expect(result).toMatchObject({ accuracy: null, correct: null });
  });

  test('yes and no: binary cross-entropy of logits, and the share on the right side of one half', async () => {
    const numbers = Float32Array.from({ length: 15 }, (_, i) => i % 2);
    const y: Tensor = { dtype: 'F32', shape: [5, 3], data: numbers };
    const result = await judge('bce', linear(weightAt), { x: features, y }, { loss: 'bce_with_logits' });
    const flat = logits.flat();
    const losses = flat.map((z, i) => Math.log(1 + Math.exp(z)) - z * (numbers[i] ?? 0));
    expect(result.loss).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / 15, 5);
    expect(result.correct).toBe(flat.filter((z, i) => z > 0 === (numbers[i] ?? 0) > 0.5).length);
  });

  test('tokens: each from those before it', async () => {
    const table = Float32Array.from({ length: 25 }, (_, i) => Math.sin(i));
    const builder = new GraphBuilder();
    builder.constants.push(floatTensor('table', [5, 5], table));
    builder.node('Gather', ['table', 'x'], {}, 'logits');
    const graph = builder.graph('bigrams', [valueInfo('x', ['n', 4], 7)], [valueInfo('logits', ['n', 4, 5])]);
    const tokens = Array.from({ length: 12 }, (_, i) => (i * 3) % 5);
    const ids: Tensor = { dtype: 'I64', shape: [3, 4], data: BigInt64Array.from(tokens, BigInt) };
    const result = await judge('tokens', encodeModel(graph, 18), { x: ids }, { loss: 'next_token' });
    const pairs = tokens.flatMap((token, i) => (i % 4 === 3 ? [] : [[token, tokens[i + 1] ?? 0] as const]));
    const row = (token: number) => [...table.subarray(5 * token, 5 * token + 5)];
    const losses = pairs.map(([from, to]) => logSum(row(from)) - (row(from)[to] ?? 0));
    expect(result.loss).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / 9, 5);
    expect(result.correct).toBe(pairs.filter(([from, to]) => best(row(from)) === to).length);
    expect(result.accuracy).toBe((result.correct ?? 0) / 9);
  });
});
