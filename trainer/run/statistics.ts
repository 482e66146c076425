import { RoundtableError } from '#core/errors.js';
import { statisticsOf } from '../batchNorm.js';
import type { Graph } from '../graph.js';
import type { WeightTensor } from '../model.js';
import { readWeights } from './files.js';
import type { TrainRequest } from './messages.js';

/**
 * Running statistics that a training starts from: those that the runner kept, or the graph's own; none where they are frozen.
 * @throws MODEL_UNSUPPORTED, NOT_FOUND, FORMAT_INVALID where the file is of another model
 */
export async function readStatistics(
  { statistics: files }: Pick<TrainRequest, 'statistics'>,
  model: Graph,
): Promise<WeightTensor[]> {
  if (!files) return [];
  const own = statisticsOf(model);
  if (files.before === undefined) return own;
  const kept = new Map((await readWeights(files.before)).map((tensor) => [tensor.name, tensor]));
  return own.map(({ name, dims }) => {
    const tensor = kept.get(name);
    if (tensor?.dims.join() === dims.join()) return tensor;
    throw new RoundtableError(
      'FORMAT_INVALID',
      `The file ${files.before} holds ${tensor ? `[${tensor.dims.join(', ')}]` : 'nothing'} for the running statistic ${name} of shape [${dims.join(', ')}]; it is of another model.`,
    );
  });
}
