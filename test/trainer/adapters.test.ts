import { describe, expect, test } from '@jest/globals';
import { readModel } from '#trainer/model.js';
import { matcher } from '#trainer/patterns.js';
import { twoLayers } from '../../examples/mnist/models.js';
import { flatDigits, readTensors, writeJob } from './job.js';
import { startTraining, temporaryFolder } from './parts.js';

const folder = temporaryFolder();
const training = startTraining();

describe('adapters', () => {
  const adapters = { match: ['fc1.weight', 'fc2.weight'], rank: 4, alpha: 8 };

  test('are all that is trained; at first the model gives what it gave', async () => {
    const samples = flatDigits(0, 200);
    const base = writeJob(folder, twoLayers(), samples);
    const request = writeJob(
      folder,
      twoLayers(),
      samples,
      { epochs: 3, optimizer: { name: 'adam', lr: 0.01 } },
      { adapters },
    );
    const before = readTensors(request.weights);
    expect(Object.keys(before)).toEqual([
      'fc1.weight.lora_A',
      'fc1.weight.lora_B',
      'fc2.weight.lora_A',
      'fc2.weight.lora_B',
    ]);
    const loss = async ({ graph, weights, data }: typeof base) =>
      (await training.evaluate({ graph, weights, data, batch: 64 })).loss;
    expect(await loss(request)).toBeCloseTo(await loss(base), 6);
    await training.train(request);
    const after = { ...request, weights: request.out };
    expect(await loss(after)).toBeLessThan((await loss(request)) - 0.1);
  });

  test('with the first factor frozen travel as the second alone', () => {
    const { weights } = readModel(twoLayers(), { adapters: { ...adapters, freezeA: true } });
    expect(weights.map(({ name }) => name)).toEqual(['fc1.weight.lora_B', 'fc2.weight.lora_B']);
    expect(weights.every(({ data }) => data.every((value) => value === 0))).toBe(true);
  });

  test('leave room for weights that are named as well', () => {
    const { weights } = readModel(twoLayers(), { adapters, trainable: matcher(['fc3.*']) });
    expect(weights.map(({ name }) => name).slice(-2)).toEqual(['fc3.bias', 'fc3.weight']);
  });

  test.each([
    [() => readModel(twoLayers(), { adapters: { match: ['none'], rank: 2 } }), /none.*fc1\.weight/],
    [() => readModel(twoLayers(), { adapters: { match: ['*'], rank: 0 } }), /rank/],
  ])('that fit nothing are refused', (read, message) => expect(read).toThrow(message));
});
