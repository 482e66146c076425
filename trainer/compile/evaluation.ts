import { isNorm, normaliseByBatch } from '../batchNorm.js';
import { NodeGradient } from '../gradients/nodeGradient.js';
import { batchSymbol, readGraph, shapesAt, type Graph } from '../graph.js';
import { labelShape } from '../modelData.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/onnx.gen.js';
import { elementCount } from '../onnx/tensor.js';
import { dataInputs, dataNames, planShape, prepareInputs, usedNames } from './parts.js';
import type { EvaluationOptions, EvaluationPlan } from './plan.js';
import { appendScores } from './scores.js';

/**
 * Compiles a graph into its evaluation: loss and what was told rightly, of each sample.
 * @throws as compileTraining
 */
export function compileEvaluation(graphBytes: Uint8Array, options: EvaluationOptions): EvaluationPlan {
  const graph = readGraph(graphBytes);
  const names = usedNames(graph);
  const builder = new GraphBuilder(names);
  const [data, labels] = [dataNames(graph, names), names.fresh('labels')];
  builder.constants.push(...graph.constants);
  prepareInputs(builder, data, graph, options.inputs);
  if (options.batchNorm === 'local') appendNormalised(builder, graph);
  else builder.nodes.push(...graph.nodes);
  const perSample = elementCount(labelShape(graph, options.loss, options.classAxis));
  const positions = options.loss === 'next_token' ? perSample - 1 : perSample;
  const scores = appendScores(builder, graph, options, labels);
  const proto = builder.graph(
    'evaluation',
    [
      ...dataInputs(graph, options, { data, labels }, batchSymbol),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    Object.values(scores).map((name: string) => valueInfo(name, [batchSymbol])),
  );
  return {
    ...planShape(graph, options, encodeModel(proto, graph.opset)),
    weights: graph.weights,
    perSample: positions,
    names: { data, labels, ...scores },
  };
}

/** The nodes of a graph, its norms by the statistics of the batch, of whatever size that is. */
function appendNormalised(builder: GraphBuilder, graph: Graph): void {
  const known = shapesAt(graph, 1);
  const append = (node: NodeProto) => {
    if (!isNorm(node)) return void builder.nodes.push(node);
    const g = new NodeGradient(builder, node, [], known, new Set(), graph.opset);
    const average = (value: string, axes: readonly number[]) =>
      graph.opset < 18
        ? g.emit('ReduceMean', [value], { axes, keepdims: 1 })
        : g.emit('ReduceMean', [value, g.ints(axes)], { keepdims: 1 });
    builder.node('Identity', [normaliseByBatch(g, average, 1)], {}, node.output[0] ?? '');
  };
  graph.nodes.forEach(append);
}
