/** Numbers of norms that became one with parameters of equal value, apart again. */
import { isNorm } from '../batchNorm.js';
import type { GraphProto, NodeProto } from '../onnx/onnx.gen.js';
import { copyOf } from './parameters.js';
import { plain, traceOf } from './traces.js';

/**
 * The newer exporter merges the statistics of an untrained BatchNorm with its scale and shift, which are ones and zeros
 * too. A statistic that is also read as something else gets a tensor of its own, which no gradient reaches.
 */
export function separateStatistics(graph: GraphProto): void {
  const norms = graph.node.filter(isNorm);
  const others = new Set(graph.node.flatMap((node) => (isNorm(node) ? node.input.slice(0, 3) : node.input)));
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of norms)
    for (const [index, kind] of [
      [3, 'running_mean'],
      [4, 'running_var'],
    ] as const) {
      const tensor = tensors.get(node.input[index] ?? '');
      if (!tensor || !others.has(tensor.name)) continue;
      const name = `${(node.input[1] ?? '').replace(/\.weight$/, '')}.${kind}`;
      if (!tensors.has(name)) {
        tensors.set(name, copyOf(tensor, name));
        graph.initializer.push(copyOf(tensor, name));
      }
      // A new list: nodes share theirs with the model as it was read.
      node.input = node.input.with(index, name);
    }
}

/** The newer exporter gives a norm without scale and shift ones and zeros, which may be those of an untrained norm with some. */
export function separatePlainNorms(graph: GraphProto): void {
  const others = new Set(graph.node.flatMap((node) => (isPlain(node) ? [] : node.input)));
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of graph.node.filter(isPlain))
    node.input = node.input.map((input, index) => {
      const tensor = index > 0 && others.has(input) ? tensors.get(input) : undefined;
      if (!tensor) return input;
      const name = `constant_${plain(input)}`;
      if (!tensors.has(name)) {
        tensors.set(name, copyOf(tensor, name));
        graph.initializer.push(copyOf(tensor, name));
      }
      return name;
    });
}

/** Its call names no parameter. */
function isPlain(node: NodeProto): boolean {
  const { known, parameters, buffers } = traceOf(node);
  return norms.has(node.opType) && known && parameters.size + buffers.size === 0;
}

const norms = new Set([
  'GroupNormalization',
  'InstanceNormalization',
  'LayerNormalization',
  'RMSNormalization',
]);
