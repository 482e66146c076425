import { RoundtableError } from '#core/errors.js';
import { gradientRules } from './gradients.js';
import { writeKept } from './gradients/kept.js';
import { NodeGradient } from './gradients/nodeGradient.js';
import { findTanhGelus } from './gradients/tanhGelu.js';
import { describeNode, intAttribute } from './onnx/attributes.js';
import type { GraphBuilder } from './onnx/builder.js';
import { TensorProto_DataType as DataType, type NodeProto } from './onnx/onnx.gen.js';
import type { KnownValues } from './shapes/values.js';

/** Operators whose result does not change with small changes of what they read: no gradient passes them. */
const steps = new Set(
  (
    'Shape Size ArgMax ArgMin ConstantOfShape Range OneHot NonZero Equal Greater GreaterOrEqual Less LessOrEqual And Or ' +
    'Xor Not IsNaN IsInf Floor Ceil Round Sign'
  ).split(' '),
);

/** Inputs behind which a gradient is never wanted: conditions, shapes, axes, indices, bounds. */
const fixedInputs: Record<string, readonly number[]> = {
  BatchNormalization: [3, 4],
  CastLike: [1],
  Clip: [1, 2],
  CumSum: [1],
  Dropout: [1, 2],
  Expand: [1],
  Gather: [1],
  GatherElements: [1],
  GatherND: [1],
  GRU: [4],
  LSTM: [4, 7],
  Pad: [1, 2, 3],
  Reshape: [1],
  Resize: [1, 2, 3],
  RNN: [4],
  RotaryEmbedding: [1, 2, 3],
  ScatterElements: [1],
  ScatterND: [1],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Squeeze: [1],
  Tile: [1],
  TopK: [1],
  Trilu: [1],
  Unsqueeze: [1],
  Where: [0],
};

/** Whether a gradient can flow from a node's result to what it reads at `input`. */
export function passes(node: NodeProto, input: number): boolean {
  if (steps.has(node.opType) || fixedInputs[node.opType]?.includes(input)) return false;
  if (node.opType.startsWith('Reduce') && input > 0) return false;
  return node.opType !== 'Cast' || intAttribute(node, 'to', DataType.FLOAT) === DataType.FLOAT;
}

/** Values behind which something of `sources` lies: only they can have a gradient that anybody needs. */
export function dependents(nodes: readonly NodeProto[], sources: Iterable<string>): Set<string> {
  const reached = new Set(sources);
  for (const node of nodes)
    if (node.input.some((name, input) => reached.has(name) && passes(node, input)))
      for (const name of node.output) if (name) reached.add(name);
  return reached;
}

/** Values on which the output depends in a way that a gradient can follow. */
export function influences(nodes: readonly NodeProto[], output: string): Set<string> {
  const reached = new Set([output]);
  for (const node of nodes.toReversed())
    if (node.output.some((name) => reached.has(name)))
      node.input.forEach((name, input) => {
        if (name && passes(node, input)) reached.add(name);
      });
  return reached;
}

/**
 * Reverse-mode differentiation: appends to `builder` the nodes that compute the gradients of `wanted` from that of
 * `output`, and returns the names of those gradients.
 * @param nodes the forward graph in topological order; nodes may get additional outputs (indices of a maximum).
 * @param known static shapes of all values of the forward graph; learns those of the gradients.
 * @throws MODEL_UNKNOWN_OPERATOR where a node between `wanted` and `output` has no rule.
 */
export function differentiate(
  builder: GraphBuilder,
  nodes: readonly NodeProto[],
  known: KnownValues,
  output: { name: string; gradient: string },
  wanted: readonly string[],
  opset = 18,
): Map<string, string> {
  const needed = dependents(nodes, wanted);
  const gradients = new Map([[output.name, output.gradient]]);
  const gelus = findTanhGelus(nodes, known);
  // A gradient has the shape of its value.
  const learn = (name: string, gradient: string) => {
    const shape = known.shapes.get(name);
    if (shape) known.shapes.set(gradient, shape);
  };
  learn(output.name, output.gradient);
  for (const original of nodes.toReversed()) {
    const node = gelus.get(original) ?? original;
    const dys = node.output.map((name) => (needed.has(name) ? gradients.get(name) : undefined));
    if (dys.every((dy) => dy === undefined)) continue;
    const rule = gradientRules[node.opType];
    if (!rule)
      throw new RoundtableError(
        'MODEL_UNKNOWN_OPERATOR',
        `The ${describeNode(node)} has no derivative in the trainer's table.`,
      );
    rule(new NodeGradient(builder, node, dys, known, needed, opset)).forEach((gradient, index) => {
      const name = node.input[index];
      if (gradient === undefined || !name || !needed.has(name) || !passes(node, index)) return;
      const before = gradients.get(name);
      const sum = before === undefined ? gradient : builder.node('Add', [before, gradient]);
      gradients.set(name, sum);
      learn(name, sum);
    });
  }
  writeKept(builder, gelus, known, opset);
  return new Map(
    wanted.flatMap((name) => {
      const gradient = gradients.get(name);
      return gradient === undefined ? [] : [[name, gradient]];
    }),
  );
}
