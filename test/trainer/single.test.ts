import { expect, test } from '@jest/globals';
import type { TrainingOptions, TrainingPlan } from '#trainer/compile/plan.js';
import { compileTraining } from '#trainer/compile/training.js';
import { readModel } from '#trainer/model.js';
import { updateRule } from '#trainer/optimizers.js';
import { elementCount } from '#trainer/onnx/tensor.js';
import { linear } from './models.js';
import type { Feed } from './onnxRuntime.js';
import { startRuntime } from './parts.js';

const runtime = startRuntime();

const x = Float32Array.from({ length: 12 * 4 }, (_, i) => Math.sin(i));
const y = Int32Array.from({ length: 12 }, (_, i) => i % 3);
const order = Int32Array.of(7, 0, 3, 11, 1, 2, 10, 4, 9, 5, 6, 8);
const { graph, weights } = readModel(linear(Math.cos));

const start = () => new Map(weights.map(({ name, data }) => [name, data]));
type State = Map<string, Float32Array>;
const passed = (plan: TrainingPlan) => [...plan.weights, ...plan.slots];

/** Runs `count` steps from `first` on. */
async function run(plan: TrainingPlan, options: TrainingOptions, state: State, first: number, count: number) {
  const rule = updateRule(options.optimizer);
  const rows = order.slice(4 * first, 4 * (first + count));
  const { names } = plan;
  // A single step is given its samples and no others.
  const labels = plan.single ? Int32Array.from(rows, (row) => y[row] ?? 0) : y;
  const samples = plan.single
    ? Float32Array.from([...rows].flatMap((row) => [...x.subarray(4 * row, 4 * row + 4)]))
    : x;
  const numbers = Array.from({ length: count }, (_, i) => rule.rates(first + i + 1, 1));
  const feeds: Record<string, Feed> = {
    [names.data[0] ?? '']: { type: 'float32', data: samples, dims: [samples.length / 4, 4] },
    [names.labels]: { type: 'int32', data: labels, dims: [labels.length] },
    [names.order]: {
      type: 'int32',
      data: plan.single ? rows.map((_, index) => index) : rows,
      dims: [count, 4],
    },
    ...(names.rates
      ? {
          [names.rates]: {
            type: 'float32' as const,
            data: Float32Array.from(numbers.flat()),
            dims: [count, numbers[0]?.length ?? 0],
          },
        }
      : {}),
    ...Object.fromEntries(
      passed(plan).map(({ name, before, shape }) => [
        before,
        {
          type: 'float32' as const,
          data: state.get(name) ?? new Float32Array(elementCount(shape)),
          dims: [...shape],
        },
      ]),
    ),
  };
  const [results] = await runtime.run(plan.model, [feeds]);
  for (const { name, after } of passed(plan)) state.set(name, results?.[after]?.data as Float32Array);
  return [...(results?.[names.losses]?.data ?? [])];
}

test.each([
  { name: 'sgd', lr: 0.1 },
  { name: 'adam', lr: 0.01 },
] as const)('steps one by one, as on WebGPU, give the bits of a Scan over them: $name', async (optimizer) => {
  const options = { loss: 'softmax_cross_entropy', optimizer, batch: 4, inputs: ['float32'] } as const;
  const [together, apart] = [start(), start()];
  const losses = await run(compileTraining(graph, options), options, together, 0, 3);
  const single = compileTraining(graph, { ...options, single: true });
  const each: number[] = [];
  for (const step of [0, 1, 2]) each.push(...(await run(single, options, apart, step, 1)));
  expect(each).toEqual(losses);
  expect(apart).toEqual(together);
});
