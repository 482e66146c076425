import { compose } from './compositions.js';
import { dependents } from './differentiate.js';
import { insertDropout, type Mask } from './dropout.js';
import { inputShapes, inputType, shapesAt, type Graph } from './graph.js';
import { intAttribute, intsAttribute } from './onnx/attributes.js';
import { stopNeedlessBiases } from './needlessBias.js';
import { attribute, GraphBuilder, type Names } from './onnx/builder.js';
import { type NodeProto, type TensorProto } from './onnx/onnx.gen.js';
import { numberTensor } from './onnx/tensor.js';
import { inferShapes } from './shapes.js';
import type { KnownValues } from './shapes/values.js';
import { withExplicitPads } from './shapes/windows.js';

/** Operator set of training graphs of older models: since 18 all reductions take their axes as an input. */
const oldestOpset = 18;

/** A forward graph ready to be differentiated, at a fixed batch size. */
export interface Prepared {
  readonly nodes: readonly NodeProto[];
  readonly constants: readonly TensorProto[];
  readonly known: KnownValues;
  readonly opset: number;
  /** What the nodes read beside data and weights: the masks of dropout (appendMasks makes them). */
  readonly masks: readonly Mask[];
}

/**
 * Brings a graph into the form that is differentiated: composed operators written out, and everything that follows
 * from shapes and constants alone computed here and now.
 */
export function prepare(
  graph: Graph,
  batch: number,
  names: Names,
  dropout: Readonly<Record<string, number>> = {},
): Prepared {
  const weights = graph.weights.map(({ name }) => name);
  const opset = Math.max(graph.opset, oldestOpset);
  const modern = new GraphBuilder(names);
  const nodes = graph.opset < opset ? graph.nodes.map((node) => modernised(node, modern)) : graph.nodes;
  const before = shapesAt({ ...graph, nodes, constants: [...graph.constants, ...modern.constants] }, batch);
  const shapeOf = (value: string) => before.shapes.get(value) ?? [];
  const padded = nodes.map((node) => withExplicitPads(node, shapeOf));
  const dropped = insertDropout(padded, dropout, weights, shapeOf, names);
  const output = graph.output.name;
  const stopped = stopNeedlessBiases(dropped.nodes, { output, weights, known: before, opset }, names);
  const composed = compose(stopped, before, dependents(stopped, weights), names, graph.opset);
  const constants = [...graph.constants, ...modern.constants, ...composed.constants];
  const inputs = new Map([
    ...inputShapes(graph, batch),
    ...dropped.masks.map(({ name, shape }) => [name, shape] as const),
  ]);
  const types = new Map(graph.inputs.map((input) => [input.name, inputType(input)]));
  const known = inferShapes(composed.nodes, constants, inputs, opset, types);
  const { masks } = dropped;
  const wanted = [output, ...(graph.states ?? []).map(({ after }) => after)];
  return { ...folded(composed.nodes, constants, known, wanted), known, opset, masks };
}

/** Without the nodes whose results are known, and those that only they needed. */
function folded(
  nodes: readonly NodeProto[],
  constants: readonly TensorProto[],
  known: KnownValues,
  wanted: readonly string[],
): { nodes: NodeProto[]; constants: TensorProto[] } {
  const used = new Set(wanted);
  const kept: NodeProto[] = [];
  const results: TensorProto[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => used.has(name))) continue;
    if (node.output.every((name) => name === '' || known.contents.has(name))) {
      for (const name of node.output)
        if (name && used.has(name))
          results.push(
            numberTensor(
              name,
              known.shapes.get(name) ?? [],
              known.types.get(name) ?? 1,
              known.contents.get(name) ?? [],
            ),
          );
      continue;
    }
    kept.push(node);
    for (const name of node.input) used.add(name);
  }
  return {
    nodes: kept.toReversed(),
    constants: [...constants.filter(({ name }) => used.has(name)), ...results],
  };
}

/** Axes became inputs, and Split wants to be told its sizes or their number. */
function modernised(node: NodeProto, builder: GraphBuilder): NodeProto {
  const axes = intsAttribute(node, 'axes');
  const list = (values: readonly number[]) => builder.ints([values.length], values);
  if (node.opType.startsWith('Reduce') && axes)
    return {
      ...node,
      input: [node.input[0] ?? '', list(axes)],
      attribute: node.attribute.filter(({ name }) => name !== 'axes'),
    };
  if (node.opType === 'Split' && !node.input[1] && intAttribute(node, 'num_outputs', 0) === 0) {
    return { ...node, attribute: [...node.attribute, attribute('num_outputs', node.output.length)] };
  }
  return node;
}
