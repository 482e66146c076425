/** Parameters of equal value that became one, apart again. */
import {
  TensorProto_DataType as DataType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { copyOf, isUniform, parametersOf } from './parameters.js';
import { consumersOf, plain, traceOf } from './traces.js';

/** TorchScript: two parameters of equal value became one, and an Identity with the name of the second. */
export function separateNamed(graph: GraphProto): void {
  const byName = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  graph.node = graph.node.filter((node) => {
    const [source = '', name = ''] = [node.input[0], node.output[0]];
    const tensor = node.opType === 'Identity' ? byName.get(source) : undefined;
    const named = (name.includes('.') && !name.startsWith('/')) || name.startsWith('onnx::');
    if (!tensor || tensor.dataType !== DataType.FLOAT || !named || byName.has(name)) return true;
    graph.initializer.push(copyOf(tensor, name));
    return false;
  });
}

/** The newer exporter: one initialiser for parameters of equal value; the calls that use it name different ones. */
export function separateMerged(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const isParameter = parametersOf(graph);
  const made = new Set([
    ...graph.input.map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  const copies: TensorProto[] = [];
  for (const tensor of graph.initializer) {
    if (tensor.dataType !== DataType.FLOAT) continue;
    const uses = (consumers.get(tensor.name) ?? []).map((node) => ({
      node,
      names: namesUsed(node, tensor, consumers, made),
    }));
    if (uses.length < 2 || uses.some(({ names }) => names.size === 0) || !isParameter(tensor)) continue;
    const groups: { names: Set<string>; nodes: NodeProto[] }[] = [];
    for (const { node, names } of uses) {
      const group = groups.find((other) => [...names].some((name) => other.names.has(name)));
      if (!group) groups.push({ names: new Set(names), nodes: [node] });
      else {
        names.forEach((name) => group.names.add(name));
        group.nodes.push(node);
      }
    }
    const keeper = groups.find(({ names }) => names.has(plain(tensor.name))) ?? groups[0];
    for (const group of groups) {
      if (group === keeper) continue;
      const end = plain(tensor.name).split('_').at(-1) ?? '';
      const name =
        [...group.names].find((candidate) => candidate.endsWith(`_${end}`)) ?? [...group.names][0] ?? '';
      const copy = copyOf(
        tensor,
        [...graph.initializer, ...copies].some((other) => other.name === name)
          ? `${tensor.name}/${name}`
          : name,
      );
      copies.push(copy);
      for (const node of group.nodes)
        node.input = node.input.map((input) => (input === tensor.name ? copy.name : input));
    }
  }
  graph.initializer.push(...copies);
}

/**
 * The parameters, or buffers, that a node was made from, or what was computed of them beforehand (transposed zeros). A node
 * of the optimiser itself (a Split of packed weights) has no trace; then the module that reads its result tells: there the
 * parameter has the same last name.
 */
function namesUsed(
  node: NodeProto,
  tensor: TensorProto,
  consumers: ReadonlyMap<string, readonly NodeProto[]>,
  made: ReadonlySet<string>,
): ReadonlySet<string> {
  const { known, parameters, buffers, values } = traceOf(node);
  if (known && parameters.size > 0) return parameters;
  // Equal values that are not all the same number are one weight, however often it was transposed.
  if (known && buffers.size === 0 && isUniform(tensor))
    return new Set([...values].filter((name) => !made.has(name) && stem(name) === stem(tensor.name)));
  if (known) return buffers;
  const readers = node.output.flatMap((name) => consumers.get(name) ?? []);
  // TorchScript has no traces, and gives a module that is called twice two names.
  const traces = readers.map(traceOf).filter((trace) => trace.known && trace.module !== '');
  const last = tensor.name.split('.').at(-1) ?? '';
  return new Set(traces.map(({ module }) => plain(`${module}.${last}`)));
}

/** A name without the number that tells calls apart. */
function stem(name: string): string {
  return name.replace(/_\d+$/, '');
}
