import { withLocalStatistics } from '../batchNorm.js';
import { readGraph } from '../graph.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { prepare } from '../prepare.js';
import {
  appendBackward,
  dataInputs,
  dataNames,
  outputShape,
  planShape,
  prepareInputs,
  usedNames,
} from './parts.js';
import type { GradientPlan, LossPlan } from './plan.js';

/**
 * Compiles a graph into one forward and backward pass over a batch.
 * @throws as compileTraining
 */
export function compileGradients(graphBytes: Uint8Array, options: LossPlan): GradientPlan {
  const read = readGraph(graphBytes);
  const { batch, batchNorm } = options;
  const names = usedNames(read);
  // The running statistics have no part in a single pass.
  const graph =
    batchNorm === 'local'
      ? { ...withLocalStatistics(read, names), constants: read.constants, states: [] }
      : read;
  const builder = new GraphBuilder(names);
  const [data, labels] = [dataNames(graph, names), names.fresh('labels')];
  const forward = prepare(graph, batch, names);
  builder.constants.push(...forward.constants);
  prepareInputs(builder, data, graph, options.inputs);
  builder.nodes.push(...forward.nodes);
  const back = appendBackward(builder, graph, forward, labels, options, 1);
  // An Identity gives each result a name of its own, also where two weights have the same gradient.
  const gradients = new Map(
    [...back.gradients].map(([name, value]) => [name, builder.node('Identity', [value])]),
  );
  const output = builder.node('Identity', [back.output]);
  const proto = builder.graph(
    'gradients',
    [
      ...dataInputs(graph, options, { data, labels }, batch),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    [
      valueInfo(back.loss.mean, []),
      valueInfo(output, [batch, ...outputShape(graph)]),
      ...graph.weights.flatMap(({ name, shape }) => {
        const gradient = gradients.get(name);
        return gradient === undefined ? [] : [valueInfo(gradient, shape)];
      }),
    ],
  );
  return {
    ...planShape(graph, options, encodeModel(proto, forward.opset)),
    weights: graph.weights,
    gradients,
    names: { data, labels, loss: back.loss.mean, output },
  };
}
