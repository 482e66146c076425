import { batchSymbol, readGraph } from '../graph.js';
import { softmaxCrossEntropy } from '../loss.js';
import { countClasses } from '../modelData.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { TensorProto_DataType as DataType } from '../onnx/onnx.gen.js';
import { dataInputs, dataNames, planShape, prepareInputs, usedNames } from './parts.js';
import type { EvaluationPlan, LossPlan } from './plan.js';

/**
 * Compiles a graph into its evaluation: softmax cross-entropy and predicted class of each sample.
 * @throws as compileTraining
 */
export function compileEvaluation(graphBytes: Uint8Array, options: Pick<LossPlan, 'inputs'>): EvaluationPlan {
  const graph = readGraph(graphBytes);
  const names = usedNames(graph);
  const builder = new GraphBuilder(names);
  const [data, labels] = [dataNames(graph, names), names.fresh('labels')];
  builder.constants.push(...graph.constants);
  prepareInputs(builder, data, graph, options.inputs);
  builder.nodes.push(...graph.nodes);
  const { each } = softmaxCrossEntropy(builder, graph.output.name, labels, countClasses(graph.output));
  const predictions = builder.node('ArgMax', [graph.output.name], { axis: 1, keepdims: 0 });
  const plan = { ...options, loss: 'softmax_cross_entropy' } as const;
  const proto = builder.graph(
    'evaluation',
    [
      ...dataInputs(graph, plan, { data, labels }, batchSymbol),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    [valueInfo(each, [batchSymbol]), valueInfo(predictions, [batchSymbol], DataType.INT64)],
  );
  return {
    ...planShape(graph, plan, encodeModel(proto, graph.opset)),
    weights: graph.weights,
    names: { data, labels, losses: each, predictions },
  };
}
