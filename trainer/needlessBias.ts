import { Addends } from './addends.js';
import { GraphBuilder, nodeLike, type Names } from './onnx/builder.js';
import { TensorProto_DataType as DataType, type NodeProto } from './onnx/onnx.gen.js';
import type { KnownValues } from './shapes/values.js';

/**
 * A bias that a norm over the channel's own values takes away again, or that of the keys in an attention, has a gradient of
 * exactly zero. What a machine computes for it is rounding noise, which Adam would make full steps of. So it is read through
 * another type, which no gradient passes; the values stay as they are.
 * @param output of the graph: a value that is also read there
 */
export function stopNeedlessBiases(
  nodes: readonly NodeProto[],
  {
    output,
    weights,
    known,
    opset,
  }: { output: string; weights: readonly string[]; known: KnownValues; opset: number },
  names: Names,
): NodeProto[] {
  const addends = new Addends(nodes, output, known, opset);
  const trained = new Set(weights);
  return nodes.flatMap((node) => {
    const index = biasOf(node, trained);
    const bias = node.input[index] ?? '';
    if (!trained.has(bias) || !addends.isTakenAway(node.output[0] ?? '', axesOf(node, bias, known)))
      return [node];
    const casts = new GraphBuilder(names);
    const wide = casts.node('Cast', [bias], { to: DataType.DOUBLE });
    const stopped = casts.node('Cast', [wide], { to: DataType.FLOAT });
    return [...casts.nodes, nodeLike(node, { input: node.input.with(index, stopped) })];
  });
}

/** Which input of a node is a bias, if any. */
function biasOf(node: NodeProto, trained: ReadonlySet<string>): number {
  if (['Conv', 'ConvTranspose', 'Gemm'].includes(node.opType)) return 2;
  return node.opType === 'Add' ? node.input.findIndex((name) => trained.has(name)) : -1;
}

/** The axes of a node's result along which its bias varies. */
function axesOf(node: NodeProto, bias: string, known: KnownValues): Set<number> {
  if (node.opType.startsWith('Conv')) return new Set([1]);
  const [shape = [], result = []] = [bias, node.output[0] ?? ''].map((name) => known.shapes.get(name));
  return new Set(shape.map((_, axis) => axis + result.length - shape.length));
}
