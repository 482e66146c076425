/**
 * What PyTorch's two exporters do to a model's weights, undone before anything else looks at the graph. Behind every
 * rewritten weight they leave a trace: TorchScript an Identity named like the parameter, the newer exporter the call
 * that used it (`pkg.torch.onnx.fx_node`, in which %p_NAME is a parameter, with dots as underscores, and %b_NAME a buffer).
 */
import { create } from '@bufbuild/protobuf';
import { intAttribute, tensorAttribute } from './onnx/attributes.js';
import { attribute } from './onnx/builder.js';
import {
  NodeProtoSchema,
  TensorProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './onnx/onnx.gen.js';
import { elementCount, floatTensor, intTensor, readFloats, readNumbers, tensorShape } from './onnx/tensor.js';
import { restorePadding } from './padding.js';

/** Rewrites the graph in place: merged weights apart again, transposed copies back to one, sequences to slices. */
export function undoExport(graph: GraphProto): void {
  flattenSequences(graph);
  separateNamed(graph);
  separateMerged(graph);
  tieTransposed(graph);
  restoreZeroBiases(graph);
  if (!graph.initializer.some(({ dataType }) => dataType === DataType.FLOAT)) liftConstants(graph);
  restorePadding(graph);
}

/**
 * Whether a float initialiser is a parameter: not a buffer, and not a number that the exporter computed.
 * @returns a predicate over the names of the graph's initialisers
 */
export function parametersOf(graph: GraphProto): (tensor: TensorProto) => boolean {
  const consumers = consumersOf(graph);
  const claimed = new Set(graph.initializer.map(({ name }) => plain(name)));
  return (tensor) => {
    const uses = consumers.get(tensor.name) ?? [];
    const traces = uses.map(traceOf);
    if (traces.some(({ buffers }) => buffers.has(plain(tensor.name)))) return false;
    if (!isMadeUp(tensor.name)) return true;
    if (elementCount(tensorShape(tensor)) <= 1) return false;
    if (uses.some(({ opType }) => opType === 'InstanceNormalization') && isUniform(tensor)) return false;
    if (traces.every(({ known }) => !known)) return true;
    return traces.some(({ parameters }) => [...parameters].some((name) => !claimed.has(name)));
  };
}

/** Names that the exporters make up, unlike those of parameters. */
export function isMadeUp(name: string): boolean {
  return /^(val_\d+|onnx::\w+|_?constant\w*|.*\/Constant\w*)$/i.test(name);
}

/** A parameter's name as the newer exporter writes it into its traces. */
export function plain(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, '_');
}

interface Trace {
  readonly known: boolean;
  readonly parameters: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
  /** Path of the module that was called, dots as underscores. */
  readonly module: string;
}

/** The parameters behind a node, as its exporter recorded them. */
export function traceOf(node: NodeProto): Trace {
  const value = (key: string) => node.metadataProps.find((entry) => entry.key === key)?.value;
  const call = value('pkg.torch.onnx.fx_node');
  const names = (kind: string) =>
    new Set([...(call ?? '').matchAll(new RegExp(`%${kind}_(\\w+)`, 'g'))].map(([, name = '']) => name));
  const scopes = [...(value('pkg.torch.onnx.name_scopes') ?? '').matchAll(/'([^']*)'/g)].map(
    ([, scope = '']) => scope,
  );
  const path = node.name.startsWith('/')
    ? node.name.split('/').slice(1, -1).join('_')
    : (scopes.at(-2) ?? '');
  return { known: call !== undefined, parameters: names('p'), buffers: names('b'), module: plain(path) };
}

function consumersOf(graph: GraphProto): Map<string, NodeProto[]> {
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node)
    for (const name of new Set(node.input)) {
      const known = consumers.get(name);
      if (known) known.push(node);
      else consumers.set(name, [node]);
    }
  return consumers;
}

/** TorchScript: two parameters of equal value became one, and an Identity with the name of the second. */
function separateNamed(graph: GraphProto): void {
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
function separateMerged(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const isParameter = parametersOf(graph);
  const copies: TensorProto[] = [];
  for (const tensor of graph.initializer) {
    if (tensor.dataType !== DataType.FLOAT) continue;
    const uses = (consumers.get(tensor.name) ?? []).map((node) => ({
      node,
      names: traceOf(node).parameters,
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

/** The newer exporter leaves out a bias that is zero; it would never be trained. Its name still stands in the call. */
function restoreZeroBiases(graph: GraphProto): void {
  const claimed = new Set(graph.initializer.map(({ name }) => plain(name)));
  const byName = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  graph.node = graph.node.flatMap((node) => {
    const lacks = node.opType === 'MatMul' || (['Gemm', 'Conv'].includes(node.opType) && !node.input[2]);
    const weight = lacks ? byName.get(node.input[1] ?? '') : undefined;
    const name =
      weight && [...traceOf(node).parameters].find((used) => used.endsWith('_bias') && !claimed.has(used));
    if (!weight || name === undefined) return [node];
    const [rows = 1, ...more] = tensorShape(weight);
    const isTurned =
      node.opType === 'MatMul' || (node.opType === 'Gemm' && intAttribute(node, 'transB', 0) === 0);
    const size = isTurned ? (more.at(-1) ?? 1) : rows;
    graph.initializer.push(floatTensor(name, [size], new Float32Array(size)));
    claimed.add(name);
    if (node.opType !== 'MatMul') return [{ ...node, input: [...node.input.slice(0, 2), name] }];
    const product = `${node.output[0]}/without_bias`;
    const sum = create(NodeProtoSchema, {
      opType: 'Add',
      name: `${node.name}/bias`,
      input: [product, name],
      output: node.output,
    });
    return [{ ...node, output: [product] }, sum];
  });
}

/** Both exporters fold the transpose of a weight; where it is tied (an embedding that is also the head) there are then two. */
function tieTransposed(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const matrices = graph.initializer.filter(
    (tensor) =>
      tensor.dataType === DataType.FLOAT && tensor.dims.length === 2 && tensor.dims.every((dim) => dim > 1n),
  );
  for (const copy of matrices.filter(({ name }) => isMadeUp(name))) {
    const parameters = (consumers.get(copy.name) ?? []).flatMap((node) => [...traceOf(node).parameters]);
    const original = matrices.find(
      (tensor) =>
        !isMadeUp(tensor.name) &&
        (parameters.length === 0 || parameters.includes(plain(tensor.name))) &&
        isTransposeOf(copy, tensor),
    );
    if (!original) continue;
    graph.initializer = graph.initializer.filter((tensor) => tensor !== copy);
    graph.node.unshift(
      create(NodeProtoSchema, {
        opType: 'Transpose',
        name: `tied/${copy.name}`,
        input: [original.name],
        output: [copy.name],
        attribute: [attribute('perm', [1, 0])],
      }),
    );
  }
}

function isTransposeOf(copy: TensorProto, original: TensorProto): boolean {
  const [rows = 0, columns = 0] = tensorShape(original);
  if (tensorShape(copy).join() !== [columns, rows].join() || isUniform(original)) return false;
  const [a, b] = [readFloats(original), readFloats(copy)];
  return a.every((value, i) => b[(i % columns) * rows + Math.floor(i / columns)] === value);
}

/** SplitToSequence and SequenceAt (unoptimised exports) are slices. */
function flattenSequences(graph: GraphProto): void {
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of graph.node) {
    const tensor = node.opType === 'Constant' ? tensorAttribute(node, 'value') : undefined;
    if (tensor && node.output[0]) constants.set(node.output[0], tensor);
  }
  const numbers = (name: string | undefined) => {
    const tensor = constants.get(name ?? '');
    return tensor && tensor.dataType !== DataType.FLOAT ? readNumbers(tensor) : undefined;
  };
  const splits = new Map(
    graph.node
      .filter(({ opType }) => opType === 'SplitToSequence')
      .map((node) => [node.output[0] ?? '', node]),
  );
  graph.node = graph.node.map((node) => {
    const split = node.opType === 'SequenceAt' ? splits.get(node.input[0] ?? '') : undefined;
    if (!split) return node;
    const sizes = numbers(split.input[1]);
    const [position] = numbers(node.input[1]) ?? [];
    if (!sizes || position === undefined || position < 0 || intAttribute(split, 'keepdims', 1) === 0)
      return node;
    const isList = constants.get(split.input[1] ?? '')?.dims.length === 1;
    const at = (index: number) =>
      isList ? sizes.slice(0, index).reduce((sum, size) => sum + size, 0) : index * (sizes[0] ?? 1);
    const bounds = [at(position), at(position + 1), intAttribute(split, 'axis', 0)].map((value, index) => {
      const name = `${node.output[0]}/${['from', 'to', 'axis'][index]}`;
      graph.initializer.push(intTensor(name, [1], [value]));
      return name;
    });
    return create(NodeProtoSchema, {
      opType: 'Slice',
      name: node.name,
      input: [split.input[0] ?? '', ...bounds],
      output: node.output,
      metadataProps: node.metadataProps,
    });
  });
}

/** Files whose weights are Constant nodes: those that a product reads become initialisers. */
function liftConstants(graph: GraphProto): void {
  const products = new Set(['Gemm', 'MatMul', 'Conv', 'ConvTranspose', 'LSTM', 'GRU', 'RNN']);
  const read = new Set(graph.node.filter(({ opType }) => products.has(opType)).flatMap(({ input }) => input));
  graph.node = graph.node.filter((node) => {
    const tensor = node.opType === 'Constant' ? tensorAttribute(node, 'value') : undefined;
    if (tensor?.dataType !== DataType.FLOAT || !read.has(node.output[0] ?? '')) return true;
    graph.initializer.push(copyOf(tensor, node.output[0] ?? ''));
    return false;
  });
}

function copyOf(tensor: TensorProto, name: string): TensorProto {
  return create(TensorProtoSchema, { ...tensor, name });
}

function isUniform(tensor: TensorProto): boolean {
  const values = readFloats(tensor);
  return values.every((value) => value === values[0]);
}
