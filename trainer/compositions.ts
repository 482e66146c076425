import { averagedCount, isNorm, normalise, normaliseByBatch, perChannel } from './batchNorm.js';
import { floatAttribute, intAttribute } from './onnx/attributes.js';
import { GraphBuilder, type Names } from './onnx/builder.js';
import type { NodeProto, TensorProto } from './onnx/onnx.gen.js';
import { elementCount } from './onnx/tensor.js';
import { NodeGradient } from './gradients/nodeGradient.js';
import { attention, rotaryEmbedding } from './gradients/attention.js';
import type { KnownValues } from './shapes/values.js';

/** Emits what an operator is made of and returns the name of its first output. */
export type Composition = (g: NodeGradient) => string;

/** Operators that are differentiated as what they are composed of. */
export const compositions: Record<string, Composition> = {
  Attention: attention,
  BatchNormalization: (g) => {
    const shape = g.inputShape(0);
    const count = averagedCount(shape);
    if (intAttribute(g.node, 'training_mode', 0) !== 0)
      return normaliseByBatch(g, (value, axes) => g.mul(g.sum(value, axes, true), 1 / count), count);
    const across = (value: string) => g.reshape(value, perChannel(shape));
    return normalise(g, g.emit('Sub', [g.input(0), across(g.input(3))]), across(g.input(4)), across);
  },
  GroupNormalization: (g) => {
    const groups = intAttribute(g.node, 'num_groups', 1);
    const [, channels = 1, ...image] = g.inputShape(0);
    const normal = normalised(g, groups);
    // Until operator set 20 scale and bias were given for each group.
    const count = g.inputShape(1)[0] ?? 1;
    const perChannel = (value: string) => {
      if (count === channels) return g.reshape(value, [channels, ...image.map(() => 1)]);
      const spread = g.emit('Expand', [g.reshape(value, [groups, 1]), g.ints([groups, channels / groups])]);
      return g.reshape(spread, [channels, ...image.map(() => 1)]);
    };
    return g.add(g.mul(normal, perChannel(g.input(1))), perChannel(g.input(2)));
  },
  InstanceNormalization: (g) => {
    const [, channels = 1, ...image] = g.inputShape(0);
    const across = (value: string) => g.reshape(value, [channels, ...image.map(() => 1)]);
    return g.add(g.mul(normalised(g, channels), across(g.input(1))), across(g.input(2)));
  },
  RMSNormalization: (g) => {
    const shape = g.inputShape(0);
    const first = g.shapes.axis('axis', -1, shape.length);
    const axes = shape.flatMap((_, axis) => (axis < first ? [] : [axis]));
    const count = elementCount(shape.slice(first));
    const mean = g.mul(g.sum(g.square(g.input(0)), axes, true), 1 / count);
    const root = g.emit('Sqrt', [g.add(mean, floatAttribute(g.node, 'epsilon', 1e-5))]);
    return g.mul(g.emit('Div', [g.input(0), root]), g.input(1));
  },
  RotaryEmbedding: rotaryEmbedding,
};

/** Each group of channels of each sample with mean 0 and variance 1: a LayerNormalization over rows. */
function normalised(g: NodeGradient, groups: number): string {
  const shape = g.inputShape(0);
  const rows = (shape[0] ?? 1) * groups;
  const width = elementCount(shape) / rows;
  const epsilon = { float: floatAttribute(g.node, 'epsilon', 1e-5) };
  const flat = g.reshape(g.input(0), [rows, width]);
  const normal = g.emit('LayerNormalization', [flat, g.ones([width])], { axis: -1, epsilon });
  return g.reshape(normal, shape);
}

/**
 * The same computation with composed operators written out, where something that is trained lies behind them.
 * @returns nodes in topological order, and the constants they need
 */
export function compose(
  nodes: readonly NodeProto[],
  known: KnownValues,
  needed: ReadonlySet<string>,
  names: Names,
  opset: number,
): { nodes: NodeProto[]; constants: TensorProto[] } {
  const constants = new GraphBuilder(names);
  const composed = nodes.flatMap((node) => {
    const composition = compositions[node.opType];
    // onnxruntime has no kernel for a norm in training form; it is written out also where nothing trained lies behind it.
    const isNeeded = node.input.some((name) => needed.has(name)) || isTrainingForm(node);
    if (!composition || !isNeeded) return [node];
    const builder = new GraphBuilder(names);
    const result = composition(new NodeGradient(builder, node, [], known, needed, opset));
    builder.node('Identity', [result], {}, node.output[0] ?? '');
    constants.constants.push(...builder.constants);
    return builder.nodes;
  });
  return { nodes: composed, constants: constants.constants };
}

function isTrainingForm(node: NodeProto): boolean {
  return isNorm(node) && intAttribute(node, 'training_mode', 0) !== 0;
}
