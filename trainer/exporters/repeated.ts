/** Weights of modules that are called more than once, and of layers that are one module. */
import { createHash } from 'node:crypto';
import {
  TensorProto_DataType as DataType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { readFloats, tensorShape } from '../onnx/tensor.js';
import { copyOf, isUniform } from './parameters.js';
import { consumersOf, isCopy, traceOf } from './traces.js';

/**
 * Makes equal weights one again where one module reads them: both exporters fold the transpose of a weight at each call.
 * TorchScript calls a module the second time by its name and a number (/cell_1/MatMul), the newer exporter notes the
 * parameter. Layers that were copied have names of their own, and keep weights of their own.
 */
export function joinRepeated(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const names = new Set(graph.initializer.map(({ name }) => name));
  const groups = new Map<string, TensorProto[]>();
  for (const tensor of graph.initializer) {
    const [reader] = consumers.get(tensor.name) ?? [];
    if (tensor.dataType !== DataType.FLOAT || !reader || !isCopy(tensor, [reader])) continue;
    const owner = ownerOf(reader, names);
    if (owner === undefined) continue;
    const key = `${owner} ${reader.opType} ${tensorShape(tensor)}`;
    const group = groups.get(key);
    if (group) group.push(tensor);
    else groups.set(key, [tensor]);
  }
  const instead = new Map<string, string>();
  for (const group of groups.values()) {
    const firsts = new Map<string, string>();
    for (const tensor of group.length > 1 ? group : []) {
      if (isUniform(tensor)) continue;
      const values = createHash('sha256').update(readFloats(tensor)).digest('hex');
      const first = firsts.get(values);
      if (first === undefined) firsts.set(values, tensor.name);
      else instead.set(tensor.name, first);
    }
  }
  if (instead.size === 0) return;
  for (const node of graph.node) node.input = node.input.map((name) => instead.get(name) ?? name);
  graph.initializer = graph.initializer.filter(({ name }) => !instead.has(name));
}

/** Biases of the layers of a recurrent module, which are one where all are zeros: a layer has its own W and R, and so its own bias. */
export function separateLayers(graph: GraphProto): void {
  const owners = new Map<string, string>();
  const byName = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of graph.node) {
    const [, w = '', r = '', name = ''] = node.input;
    const bias = ['LSTM', 'GRU', 'RNN'].includes(node.opType) ? byName.get(name) : undefined;
    if (!bias) continue;
    const owner = owners.get(name) ?? `${w} ${r}`;
    owners.set(name, owner);
    if (owner === `${w} ${r}`) continue;
    const own = `${name}/${w}`;
    if (!byName.has(own)) {
      const copy = copyOf(bias, own);
      byName.set(own, copy);
      graph.initializer.push(copy);
    }
    node.input = node.input.with(3, own);
  }
}

/** What a node belongs to: the parameters that its call names, else its module. */
function ownerOf(node: NodeProto, names: ReadonlySet<string>): string | undefined {
  const { known, parameters, module } = traceOf(node);
  if (known) return parameters.size > 0 ? [...parameters].sort().join() : module;
  if (!node.name.startsWith('/')) return undefined;
  return moduleOf(node.name.split('/').slice(1, -1), names).join('/');
}

/** The path of a module without the numbers of its calls; a number that parameters have in their names belongs to it. */
function moduleOf(path: readonly string[], names: ReadonlySet<string>): string[] {
  return path.map((part) => {
    if (!/_\d+$/.test(part)) return part;
    const isOwn = [...names].some((name) => name.startsWith(`${part}.`) || name.includes(`.${part}.`));
    return isOwn ? part : part.replace(/_\d+$/, '');
  });
}
