import ort from 'onnxruntime-node';
import { RoundtableError } from '#core/errors.js';
import { readGraph } from '../graph.js';
import { checkWeights } from '../model.js';
import { checkModelData, classAxis } from '../modelData.js';
import { columnsOf, readBytes, readDataset, readWeights, shapeOf, type Column } from './files.js';
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
  const { loss: name = 'softmax_cross_entropy', ignoredLabel, batchNorm } = request;
  const [graph, weights, data] = await Promise.all([
    readBytes(request.graph),
    readWeights(request.weights),
    readDataset(request.data, request),
  ]);
  const model = readGraph(graph);
  checkWeights(model, weights);
  checkModelData(model, shapeOf(data), name);

  const columns = columnsOf(data, model.inputs);
  const axis = classAxis(model, name, data.labels);
  const { plan, session } = await sessions.evaluation(graph, {
    loss: name,
    inputs: columns.map(({ type }) => type),
    ...(axis === undefined ? {} : { classAxis: axis }),
    ...(ignoredLabel === undefined ? {} : { ignoredLabel }),
    ...(batchNorm === undefined ? {} : { batchNorm }),
  });
  const feeds = Object.fromEntries(
    weights.map(({ name, dims, data: values }) => [name, new ort.Tensor('float32', values, dims)]),
  );
  const part = (values: Column['values'], dims: readonly number[], from: number, to: number) => {
    const size = values.length / data.samples;
    return dataTensor(values.subarray(from * size, to * size), [to - from, ...dims]);
  };
  let [right, loss, counted] = [0, 0, 0];
  for (let from = 0; from < data.samples; from += batch) {
    const to = Math.min(from + batch, data.samples);
    const x = columns.map(({ values, sample }, index) => [
      plan.names.data[index] ?? '',
      part(values, sample, from, to),
    ]);
    const results = await session.run({
      ...feeds,
      ...(Object.fromEntries(x) as Record<string, ort.Tensor>),
      [plan.names.labels]: part(data.y, data.labels, from, to),
    });
    const sum = (name: string, start = 0) => floatsOf(results[name]).reduce((all, each) => all + each, start);
    loss = sum(plan.names.losses, loss);
    if (plan.names.right !== undefined) right += sum(plan.names.right);
    counted += plan.names.counts === undefined ? (to - from) * plan.perSample : sum(plan.names.counts);
  }
  if (!Number.isFinite(loss))
    throw new RoundtableError(
      'TRAINING_NOT_FINITE',
      'The loss of the evaluated model is NaN or infinite: its weights or the data hold such values.',
    );
  const all = Math.max(1, counted);
  const correct = plan.names.right === undefined ? null : right;
  return {
    samples: data.samples,
    correct,
    accuracy: correct === null ? null : correct / all,
    loss: loss / all,
  };
}

function floatsOf(result: ort.OnnxValue | undefined): Float32Array {
  if (result?.data instanceof Float32Array) return result.data;
  throw new RoundtableError('INTERNAL', 'A session did not return what its plan says.');
}
