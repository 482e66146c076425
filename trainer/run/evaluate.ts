import ort from 'onnxruntime-node';
import { RoundtableError } from '#core/errors.js';
import { readGraph } from '../graph.js';
import { checkWeights } from '../model.js';
import { checkModelData } from '../modelData.js';
import { columnsOf, readBytes, readDataset, readWeights, shapeOf } from './files.js';
import type { EvaluateRequest, EvaluateResult } from './messages.js';
import type { Sessions } from './sessions.js';
import { dataTensor } from './steps.js';

/**
 * Loss and accuracy of weights on a data set, `batch` samples a run.
 * @throws the errors of readModel, NOT_FOUND, FORMAT_INVALID, INVALID_INPUT, TRAINING_NOT_FINITE
 */
export async function evaluate(sessions: Sessions, request: EvaluateRequest): Promise<EvaluateResult> {
  const { batch } = request;
  if (!(Number.isSafeInteger(batch) && batch >= 1))
    throw new RoundtableError(
      'INVALID_INPUT',
      `The evaluation's batch is ${batch}; a whole number from 1 is expected.`,
    );
  const [graph, weights, data] = await Promise.all([
    readBytes(request.graph),
    readWeights(request.weights),
    readDataset(request.data),
  ]);
  const model = readGraph(graph);
  checkWeights(model, weights);
  checkModelData(model, shapeOf(data));

  const columns = columnsOf(data, model.inputs);
  const { plan, session } = await sessions.evaluation(graph, { inputs: columns.map(({ type }) => type) });
  const feeds = Object.fromEntries(
    weights.map(({ name, dims, data: values }) => [name, new ort.Tensor('float32', values, dims)]),
  );
  let [correct, loss] = [0, 0];
  for (let from = 0; from < data.samples; from += batch) {
    const to = Math.min(from + batch, data.samples);
    const x = columns.map(({ values, sample }, index) => {
      const size = values.length / data.samples;
      const part = dataTensor(values.subarray(from * size, to * size), [to - from, ...sample]);
      return [plan.names.data[index] ?? '', part] as const;
    });
    const y = (data.y as Int32Array).subarray(from, to);
    const results = await session.run({
      ...feeds,
      ...Object.fromEntries(x),
      [plan.names.labels]: new ort.Tensor('int32', y, [to - from]),
    });
    const losses = results[plan.names.losses]?.data as Float32Array;
    const predictions = results[plan.names.predictions]?.data as BigInt64Array;
    loss = losses.reduce((sum, each) => sum + each, loss);
    correct += predictions.reduce((sum, predicted, index) => sum + Number(Number(predicted) === y[index]), 0);
  }
  if (!Number.isFinite(loss))
    throw new RoundtableError(
      'TRAINING_NOT_FINITE',
      'The loss of the evaluated model is NaN or infinite: its weights or the data hold such values.',
    );
  return { samples: data.samples, correct, accuracy: correct / data.samples, loss: loss / data.samples };
}
