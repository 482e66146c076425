import { intAttribute } from './onnx/attributes.js';
import { GraphBuilder, nodeLike, type Names } from './onnx/builder.js';
import { TensorProto_DataType as DataType, type NodeProto } from './onnx/onnx.gen.js';

/**
 * A bias for each channel that a norm over the channel's own values takes away again has a gradient of exactly zero. What
 * a machine computes for it is rounding noise, which Adam would make full steps of. So it is read through another type,
 * which no gradient passes; the values stay as they are.
 * @param output of the graph: a value that is also read there
 */
export function stopNeedlessBiases(nodes: readonly NodeProto[], output: string, names: Names): NodeProto[] {
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes)
    for (const name of node.input) readers.set(name, [...(readers.get(name) ?? []), node]);
  return nodes.flatMap((node) => {
    const [made = '', bias] = [node.output[0], node.input[2]];
    const [reader, ...others] = readers.get(made) ?? [];
    const isNeedless =
      ['Conv', 'ConvTranspose', 'Gemm'].includes(node.opType) &&
      Boolean(bias) &&
      reader !== undefined &&
      others.length === 0 &&
      reader.input[0] === made &&
      centresChannels(reader) &&
      made !== output;
    if (!isNeedless) return [node];
    const casts = new GraphBuilder(names);
    const wide = casts.node('Cast', [bias ?? ''], { to: DataType.DOUBLE });
    const stopped = casts.node('Cast', [wide], { to: DataType.FLOAT });
    return [...casts.nodes, nodeLike(node, { input: [...node.input.slice(0, 2), stopped] })];
  });
}

/** Whether a norm takes each channel's own mean away. */
function centresChannels(node: NodeProto): boolean {
  if (node.opType === 'InstanceNormalization') return true;
  return node.opType === 'BatchNormalization' && intAttribute(node, 'training_mode', 0) !== 0;
}
