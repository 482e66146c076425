import { beforeAll, describe, expect, test } from '@jest/globals';
import { isRoundtableError } from '#core/errors.js';
import { INT32_LIMIT } from '#core/fixedPoint.js';
import { createLayout, encodeUpdate, floatTensors, quantiseModel } from '#core/layout.js';
import type { RobustRule } from '#core/robustRule.js';
import { roundTree } from '#core/robustTree.js';
import { fedAvg } from '#core/step.js';
import { readModel } from '#trainer/model.js';
import { cnn } from '../../examples/mnist/models.js';
import { digits, readTensors, writeJob, writeWeightsFile } from './job.js';
import { startTraining, temporaryFolder } from './parts.js';

/** Ten runners train on digits of their own, and three of them send their update times -100. */
const runners = 10;
const poisoners = [1, 4, 8];
const rounds = 4;

const folder = temporaryFolder();
const training = startTraining();
const model = cnn();
const { weights } = readModel(model);
const layout = createLayout(weights);
const heldOut = writeJob(folder, model, digits(5_000, 1_000));
const jobs = Array.from({ length: runners }, (_, i) =>
  writeJob(folder, model, digits(300 * i, 300), { batch: 20, epochs: 2 }),
);

describe('with three poisoned updates among ten', () => {
  let honest: number;
  beforeAll(async () => {
    honest = await accuracyOf(undefined, []);
    expect(honest).toBeGreaterThan(0.8);
  }, 60_000);

  test('the weighted mean learns nothing', async () => {
    expect(await accuracyOf(undefined, poisoners)).toBeLessThan(0.3);
  }, 60_000);

  test.each<RobustRule>([{ rule: 'median' }, { rule: 'trimmed-mean', percent: 30 }])(
    'the rule $rule learns as if they were not there',
    async (rule) => {
      expect(await accuracyOf(rule, poisoners)).toBeGreaterThan(honest - 0.05);
    },
    60_000,
  );
});

/** On held-out digits, after all rounds or the one in which a parameter left its range. */
async function accuracyOf(rule: RobustRule | undefined, poisoned: readonly number[]): Promise<number> {
  let params = quantiseModel(layout, weights);
  for (let round = 0; round < rounds; round++) {
    const updates: Int32Array[] = [];
    for (const [i, job] of jobs.entries()) {
      const update = await updateOf(params, job);
      updates.push(poisoned.includes(i) ? update.map(poison) : update);
    }
    const sum = await roundTree(rule, {
      dimension: layout.dimension,
      weights: updates.map(() => 300),
      read: (index) => Promise.resolve(updates[index] ?? new Int32Array()),
      onNode: () => undefined,
    });
    try {
      params = fedAvg(params, sum.values, sum.weight, { numerator: 1, denominator: 1 });
    } catch (error) {
      if (isRoundtableError(error, 'STEP_OUT_OF_RANGE')) break;
      throw error;
    }
  }
  writeWeightsFile(heldOut.weights, floatTensors(layout, params));
  const { graph, data } = heldOut;
  const { correct } = await training.evaluate({ graph, data, weights: heldOut.weights, batch: 100 });
  return (correct ?? NaN) / 1_000;
}

async function updateOf(params: Int32Array, job: (typeof jobs)[number]): Promise<Int32Array> {
  writeWeightsFile(job.weights, floatTensors(layout, params));
  await training.train(job);
  const trained = readTensors(job.out);
  const local = new Float32Array(layout.dimension);
  for (const { name, offset } of layout.tensors) local.set(trained[name] ?? [], offset);
  return encodeUpdate(layout, local, params).delta;
}

const poison = (value: number): number => Math.max(-INT32_LIMIT, Math.min(INT32_LIMIT, -100 * value));
