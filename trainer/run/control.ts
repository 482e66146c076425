/** SCAFFOLD's control variates on the runner (Karimireddy et al. 2020, algorithm 1, option II). */
import { RoundtableError } from '#core/errors.js';
import type { Graph } from '../graph.js';
import { checkWeights, type WeightTensor } from '../model.js';
import { scheduleFactor } from '../optimizers.js';
import { readWeights, writeWeights } from './files.js';
import type { TrainRequest } from './messages.js';

/** c - c_i, which is added to every gradient. */
export async function readCorrections(
  { control }: TrainRequest,
  model: Graph,
): Promise<ReadonlyMap<string, WeightTensor>> {
  if (!control) return new Map();
  const [server, own] = await Promise.all([readWeights(control.server), readWeights(control.own)]);
  checkWeights(model, server);
  checkWeights(model, own);
  return new Map(
    server.map((tensor) => {
      const mine = valuesOf(own, tensor.name);
      return [
        tensor.name,
        { ...tensor, data: tensor.data.map((value, index) => value - (mine[index] ?? 0)) },
      ];
    }),
  );
}

/** c_i' = c_i - c + (x - y) / (K lr), where the rates of K steps may differ. */
export async function nextControl(
  request: TrainRequest,
  before: readonly WeightTensor[],
  after: readonly WeightTensor[],
  steps: number,
): Promise<void> {
  const { control, optimizer, schedule = { name: 'constant' } } = request;
  if (!control) return;
  const [server, own] = await Promise.all([readWeights(control.server), readWeights(control.own)]);
  let rates = 0;
  for (let step = 1; step <= steps; step++) rates += optimizer.lr * scheduleFactor(schedule, step, steps);
  const next = own.map((tensor) => {
    const [c, x, y] = [server, before, after].map((weights) => valuesOf(weights, tensor.name));
    return {
      ...tensor,
      data: tensor.data.map(
        (value, at) => value - (c?.[at] ?? 0) + ((x?.[at] ?? 0) - (y?.[at] ?? 0)) / rates,
      ),
    };
  });
  await writeWeights(control.out, next);
}

function valuesOf(weights: readonly WeightTensor[], name: string): Float32Array {
  const found = weights.find((weight) => weight.name === name);
  if (!found) throw new RoundtableError('INTERNAL', `The weight ${name} is missing.`);
  return found.data;
}
