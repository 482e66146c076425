/** Weights that an exporter turned, left out or stored in another way. */
import { create } from '@bufbuild/protobuf';
import { intAttribute, tensorAttribute } from '../onnx/attributes.js';
import { attribute } from '../onnx/builder.js';
import {
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { floatTensor, readFloats, tensorShape } from '../onnx/tensor.js';
import { copyOf, isUniform } from './parameters.js';
import { consumersOf, isCopy, plain, traceOf } from './traces.js';

/** The newer exporter leaves out a bias that is zero; it would never be trained. Its name still stands in the call. */
export function restoreZeroBiases(graph: GraphProto): void {
  const claimed = new Set(graph.initializer.map(({ name }) => plain(name)));
  const byName = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const restored = new Set<string>();
  graph.node = graph.node.flatMap((node) => {
    const lacks =
      node.opType === 'MatMul' || (['Gemm', 'Conv', 'ConvTranspose'].includes(node.opType) && !node.input[2]);
    const weight = lacks ? byName.get(node.input[1] ?? '') : undefined;
    const isMissing = (used: string) => used.endsWith('_bias') && (!claimed.has(used) || restored.has(used));
    const name = weight && [...traceOf(node).parameters].find(isMissing);
    if (!weight || name === undefined) return [node];
    const [rows = 1, ...more] = tensorShape(weight);
    const isTurned =
      node.opType === 'MatMul' || (node.opType === 'Gemm' && intAttribute(node, 'transB', 0) === 0);
    // A transposed convolution has its channels second, those of one group.
    const size =
      node.opType === 'ConvTranspose'
        ? (more[0] ?? 1) * intAttribute(node, 'group', 1)
        : isTurned
          ? (more.at(-1) ?? 1)
          : rows;
    // A module may be called more than once.
    if (!restored.has(name)) graph.initializer.push(floatTensor(name, [size], new Float32Array(size)));
    restored.add(name);
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
export function tieTransposed(graph: GraphProto): void {
  const consumers = consumersOf(graph);
  const matrices = graph.initializer.filter(
    (tensor) =>
      tensor.dataType === DataType.FLOAT && tensor.dims.length === 2 && tensor.dims.every((dim) => dim > 1n),
  );
  const isCopied = (tensor: TensorProto) => isCopy(tensor, consumers.get(tensor.name) ?? []);
  for (const copy of matrices.filter(isCopied)) {
    const traces = (consumers.get(copy.name) ?? []).map(traceOf);
    // Where the call names the copy itself, other parameters that it names say nothing of it.
    const isNamed = traces.some(({ values }) => values.has(copy.name));
    const parameters = isNamed ? [] : traces.flatMap((trace) => [...trace.parameters]);
    const original = matrices.find(
      (tensor) =>
        !isCopied(tensor) &&
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

/** Files whose weights are Constant nodes: those that a product reads become initialisers. */
export function liftConstants(graph: GraphProto): void {
  const products = new Set(['Gemm', 'MatMul', 'Conv', 'ConvTranspose', 'LSTM', 'GRU', 'RNN']);
  const read = new Set(graph.node.filter(({ opType }) => products.has(opType)).flatMap(({ input }) => input));
  graph.node = graph.node.filter((node) => {
    const tensor = node.opType === 'Constant' ? tensorAttribute(node, 'value') : undefined;
    if (tensor?.dataType !== DataType.FLOAT || !read.has(node.output[0] ?? '')) return true;
    graph.initializer.push(copyOf(tensor, node.output[0] ?? ''));
    return false;
  });
}
