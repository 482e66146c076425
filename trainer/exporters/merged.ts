/** Parameters of equal value that became one, apart again. */
import { nodeLike } from '../onnx/builder.js';
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
  const outputs = new Set(graph.output.map(({ name }) => name));
  graph.node = graph.node.filter((node) => {
    const [source = '', name = ''] = [node.input[0], node.output[0]];
    const tensor = node.opType === 'Identity' ? byName.get(source) : undefined;
    // A parameter of the model itself has no dot in its name; the exporter's own nodes have no path in theirs.
    const isOwn = /^Identity_\d+$/.test(node.name) && !outputs.has(name);
    const named = !name.startsWith('/') && (name.includes('.') || isOwn || name.startsWith('onnx::'));
    if (!tensor || tensor.dataType !== DataType.FLOAT || !named || byName.has(name)) return true;
    graph.initializer.push(copyOf(tensor, name));
    return false;
  });
}

/** The newer exporter: one initialiser for parameters of equal value; the calls that use it name different ones. */
export function separateMerged(graph: GraphProto): void {
  repeatShared(graph);
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

/** Cuts of a packed weight that the optimiser made once for several modules (layers that were copied): once for each. */
function repeatShared(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const tensors = new Set(graph.initializer.map(({ name }) => name));
  graph.node = graph.node.flatMap((node) => {
    const isCut =
      ['Split', 'Slice'].includes(node.opType) && !traceOf(node).known && !node.name.startsWith('/');
    if (!isCut || !node.input.every((name) => name === '' || tensors.has(name))) return [node];
    const readers = new Set(node.output.flatMap((name) => consumers.get(name) ?? []));
    const modules = [...new Set([...readers].map((reader) => traceOf(reader).module))];
    if (modules.includes('')) return [node];
    return modules.map((module, at) => {
      if (at === 0) return node;
      const own = (name: string) => (name === '' ? '' : `${name}/${module}`);
      for (const reader of readers)
        if (traceOf(reader).module === module)
          reader.input = reader.input.map((name) => (node.output.includes(name) ? own(name) : name));
      return nodeLike(node, { name: own(node.name), output: node.output.map(own) });
    });
  });
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
  const { known, parameters, buffers, values, module } = traceOf(node);
  if (known && parameters.size > 0) return parameters;
  if (known && parameters.size + buffers.size === 0) {
    const folded = [...values].filter((name) => !made.has(name) && stem(name) === stem(tensor.name));
    // Equal values that are not all the same number are one weight of a module, however often it was transposed or cut.
    return new Set(isUniform(tensor) || folded.length === 0 ? folded : [module || 'model']);
  }
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
