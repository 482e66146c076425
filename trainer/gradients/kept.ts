import type { GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/onnx.gen.js';
import type { KnownValues } from '../shapes/values.js';
import { NodeGradient } from './nodeGradient.js';
import { writeGru } from './recurrent/writeGru.js';
import { writeLstm } from './recurrent/writeLstm.js';
import { writeTanhGelu } from './tanhGelu.js';

/** Operators that a derivative can ask for more than they give: how many outputs they have, and what is then in their place. */
const writers: Record<string, { outputs: number; write: (g: NodeGradient) => void }> = {
  Gelu: { outputs: 1, write: writeTanhGelu },
  GRU: { outputs: 2, write: writeGru },
  LSTM: { outputs: 3, write: writeLstm },
};

/**
 * Writes out, in place, the operators whose derivative asked for values on the way to their result: to compute these again
 * would cost as much as the forward pass.
 * @param instead what some nodes were taken for
 */
export function writeKept(
  builder: GraphBuilder,
  instead: ReadonlyMap<NodeProto, NodeProto>,
  known: KnownValues,
  opset: number,
): void {
  for (const original of builder.nodes.splice(0)) {
    const node = instead.get(original) ?? original;
    const writer = writers[node.opType];
    if (!writer || node.output.length <= writer.outputs) builder.nodes.push(original);
    else writer.write(new NodeGradient(builder, node, [], known, new Set(), opset));
  }
}
