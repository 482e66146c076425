import { RoundtableError } from '#core/errors.js';
import { gradientRules, NodeGradient } from './gradients.js';
import { describeNode } from './onnx/attributes.js';
import type { GraphBuilder } from './onnx/builder.js';
import type { NodeProto } from './onnx/onnx.gen.js';
import type { Shape } from './onnx/tensor.js';

/** Values behind which something of `sources` lies: only they can have a gradient that anybody needs. */
export function dependents(nodes: readonly NodeProto[], sources: Iterable<string>): Set<string> {
  const reached = new Set(sources);
  for (const node of nodes)
    if (node.input.some((name) => reached.has(name)))
      for (const name of node.output) if (name) reached.add(name);
  return reached;
}

/**
 * Reverse-mode differentiation: appends to `builder` the nodes that compute the gradients of `wanted` from that of
 * `output`, and returns the names of those gradients.
 * @param nodes the forward graph in topological order; nodes may get additional outputs (indices of a maximum).
 * @param shapes static shapes of all values of the forward graph.
 * @throws MODEL_UNKNOWN_OPERATOR where a node between `wanted` and `output` has no rule.
 */
export function differentiate(
  builder: GraphBuilder,
  nodes: readonly NodeProto[],
  shapes: ReadonlyMap<string, Shape>,
  output: { name: string; gradient: string },
  wanted: readonly string[],
): Map<string, string> {
  const needed = dependents(nodes, wanted);
  const gradients = new Map([[output.name, output.gradient]]);
  for (const node of nodes.toReversed()) {
    const dy = gradients.get(node.output[0] ?? '');
    if (dy === undefined || !needed.has(node.output[0] ?? '')) continue;
    const rule = gradientRules[node.opType];
    if (!rule)
      throw new RoundtableError(
        'MODEL_UNKNOWN_OPERATOR',
        `The ${describeNode(node)} has no derivative in the trainer's table.`,
      );
    rule(new NodeGradient(builder, node, dy, shapes, needed)).forEach((gradient, index) => {
      const name = node.input[index];
      if (gradient === undefined || !name || !needed.has(name)) return;
      const before = gradients.get(name);
      gradients.set(name, before === undefined ? gradient : builder.node('Add', [before, gradient]));
    });
  }
  return new Map(
    wanted.flatMap((name) => {
      const gradient = gradients.get(name);
      return gradient === undefined ? [] : [[name, gradient]];
    }),
  );
}
