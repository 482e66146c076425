import { create } from '@bufbuild/protobuf';
import { RoundtableError } from '#core/errors.js';
import { compositions } from './compositions.js';
import { dependents, passes } from './differentiate.js';
import { gradientRules } from './gradients.js';
import { describeNode } from './onnx/attributes.js';
import { encodeModel, nodeLike, valueInfo } from './onnx/builder.js';
import { decodeModel } from './onnx/decode.js';
import {
  GraphProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx/onnx.gen.js';
import { checkAttributes } from './onnx/requiredAttributes.js';
import { canonicalTensor, maxRank, type Shape } from './onnx/tensor.js';
import { inferShapes, isKnownOperator } from './shapes.js';
import type { KnownValues } from './shapes/values.js';

export interface GraphInput {
  readonly name: string;
  readonly dims: readonly (number | string)[];
  /** Present where the model reads integers (ids of tokens). */
  readonly integers?: 'int32' | 'int64';
}

export interface GraphOutput {
  readonly name: string;
  /** [batch, ...], the free batch size first. */
  readonly dims: readonly (number | string)[];
  /** Where the model gives [batch * rows, ...], as after `logits.view(-1, classes)`; dims are then [batch, rows, ...]. */
  readonly rows?: number;
}

/** A model's computation without its weights: what `graph.onnx` holds, checked. */
export interface Graph {
  readonly opset: number;
  /** The data, one or more; dims[0] is the free batch size, all others are numbers. */
  readonly inputs: readonly GraphInput[];
  readonly output: GraphOutput;
  /** The trained tensors, in byte order of their names. */
  readonly weights: readonly { readonly name: string; readonly shape: Shape }[];
  /** In topological order, all of known operators. */
  readonly nodes: NodeProto[];
  readonly constants: readonly TensorProto[];
  /** What passes from step to step beside the weights: statistics of norms that are local (batchNorm.ts). Not in files. */
  readonly states?: readonly { readonly name: string; readonly shape: Shape; readonly after: string }[];
}

/** A model of more nodes is refused; the largest exports in use have some thousands. */
const maxNodes = 20_000;
/** Symbol of the batch dimension in a canonical graph. */
export const batchSymbol = 'batch';

/**
 * Reads a graph as readModel wrote it: inputs with a free batch size are data, the others are the weights.
 * @throws the errors of readModel; a graph that came from elsewhere is checked like a model.
 */
export function readGraph(bytes: Uint8Array): Graph {
  const { opset, graph } = openGraph(decodeModel(bytes));
  const declared = graph.input.map(readInput);
  const inputs = declared.filter(isData);
  const weights = declared.filter((input) => !isData(input));
  const output = graph.output[0];
  if (inputs.length === 0 || !output)
    throw new RoundtableError('MODEL_NOT_ONNX', 'The graph has no input or no output.');
  return checkGraph({
    opset,
    inputs: inputs.map((input) => ({
      ...input,
      dims: [batchSymbol, ...staticDims({ ...input, dims: input.dims.slice(1) })],
    })),
    output: { name: output.name },
    weights: weights.map((weight) => ({ name: weight.name, shape: staticDims(weight) })),
    nodes: graph.node,
    // A constant that declares other dims than it has bytes would be somebody's way to more memory than the file has.
    constants: graph.initializer.map((tensor) => canonicalTensor(tensor, tensor.name)),
  });
}

const isData = ({ dims }: { dims: readonly (number | string)[] }): boolean => typeof dims[0] === 'string';

/** The one encoding of a graph: equal graphs give equal bytes. */
export function encodeGraph(graph: Graph): Uint8Array<ArrayBuffer> {
  const proto = create(GraphProtoSchema, {
    name: 'graph',
    node: graph.nodes,
    initializer: [...graph.constants],
    input: [
      ...graph.inputs.map((input) => valueInfo(input.name, input.dims, inputType(input))),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    output: [valueInfo(graph.output.name, declaredDims(graph.output))],
  });
  return encodeModel(proto, graph.opset);
}

/** Shapes of all values at a batch size. */
export function shapesAt(graph: Omit<Graph, 'output'>, batch: number): KnownValues {
  return inferShapes(
    graph.nodes,
    graph.constants,
    inputShapes(graph, batch),
    graph.opset,
    new Map(graph.inputs.map((input) => [input.name, inputType(input)])),
  );
}

/** Shapes of data, weights and states at a batch size. */
export function inputShapes(
  graph: Pick<Graph, 'inputs' | 'weights' | 'states'>,
  batch: number,
): Map<string, Shape> {
  return new Map([
    ...graph.inputs.map(({ name, dims }): [string, Shape] => [name, [batch, ...dims.slice(1).map(Number)]]),
    ...[...graph.weights, ...(graph.states ?? [])].map(({ name, shape }): [string, Shape] => [name, shape]),
  ]);
}

/** Everything that must hold before a graph is trained; completes the dims of its output. */
export function checkGraph(graph: Omit<Graph, 'output'> & { output: { name: string } }): Graph {
  checkOperators(graph);
  checkOrder(graph);
  const [one, two] = [1, 2].map((batch) => shapesAt(graph, batch).shapes.get(graph.output.name));
  const [rows = 0, ...dims] = one ?? [];
  if (rows < 1 || two?.join() !== [2 * rows, ...dims].join())
    throw new RoundtableError(
      'MODEL_SHAPE_MISMATCH',
      `For 1 and 2 samples the model gives outputs of [${one}] and [${two}]; expected one row per sample. Export with a free batch size (dynamic_axes or dynamic_shapes on dimension 0).`,
    );
  const { name } = graph.output;
  const output =
    rows === 1 ? { name, dims: [batchSymbol, ...dims] } : { name, dims: [batchSymbol, rows, ...dims], rows };
  return { ...graph, output };
}

/** What the file says of an output whose samples are several rows. */
function declaredDims({ dims, rows }: GraphOutput): readonly (number | string)[] {
  return rows === undefined ? dims : ['rows', ...dims.slice(2)];
}

/**
 * The graph in a model file, and the version of the standard operators it is written in.
 * @throws MODEL_NOT_ONNX, MODEL_UNSUPPORTED
 */
export function openGraph(model: ModelProto): { opset: number; graph: GraphProto } {
  const { graph } = model;
  const opset = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version;
  if (!graph || opset === undefined)
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      'The file holds no graph, or does not say which operator set it uses. Expected an ONNX model; was it cut off?',
    );
  if (opset < 13n || opset > 23n)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The model uses operator set ${opset}; 13 to 23 are supported. Export with opset_version=18.`,
    );
  if (graph.node.length > maxNodes)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The model has ${graph.node.length} nodes; at most ${maxNodes} are supported.`,
    );
  // A copy of all that is ever rewritten: the model stays as it was read.
  return { opset: Number(opset), graph: copyOf(graph) };
}

function copyOf({ name, node, initializer, sparseInitializer, input, output }: GraphProto): GraphProto {
  return create(GraphProtoSchema, {
    name,
    node: node.map((each) => nodeLike(each)),
    initializer: [...initializer],
    sparseInitializer,
    input: [...input],
    output: [...output],
  });
}

const inputTypes = new Map<number | undefined, 'int32' | 'int64' | undefined>([
  [DataType.FLOAT, undefined],
  [DataType.INT32, 'int32'],
  [DataType.INT64, 'int64'],
]);

export function inputType({ integers }: GraphInput): DataType {
  if (integers === undefined) return DataType.FLOAT;
  return integers === 'int32' ? DataType.INT32 : DataType.INT64;
}

/** @throws MODEL_UNSUPPORTED for anything but a tensor of float32, int32 or int64 and of known rank. */
export function readInput(value: ValueInfoProto): GraphInput {
  const type = value.type?.value;
  const elements = type?.case === 'tensorType' ? type.value.elemType : undefined;
  const dims = type?.case === 'tensorType' ? type.value.shape?.dim : undefined;
  if (!inputTypes.has(elements) || !dims || dims.length > maxRank)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      `The input ${value.name} must be a tensor of float32, int32 or int64, and of known rank.`,
    );
  const integers = inputTypes.get(elements);
  return {
    name: value.name,
    dims: dims.map(({ value: dim }) => (dim.case === 'dimValue' ? Number(dim.value) : (dim.value ?? '?'))),
    ...(integers ? { integers } : {}),
  };
}

function staticDims(value: Pick<GraphInput, 'name' | 'dims'>): Shape {
  return value.dims.map((dim) => {
    if (typeof dim === 'string' || !Number.isSafeInteger(dim) || dim < 0)
      throw new RoundtableError(
        'MODEL_NOT_ONNX',
        `The input ${value.name} has the dimension ${dim}; a number was expected.`,
      );
    return dim;
  });
}

function checkOperators(graph: Pick<Graph, 'nodes' | 'weights'>): void {
  const trained = dependents(
    graph.nodes,
    graph.weights.map(({ name }) => name),
  );
  for (const node of graph.nodes) {
    checkAttributes(node);
    const differentiated = node.input.some((name, index) => trained.has(name) && passes(node, index));
    const known = Object.hasOwn(gradientRules, node.opType) || Object.hasOwn(compositions, node.opType);
    if (isKnownOperator(node) && (!differentiated || known)) continue;
    const weight = weightBehind(graph, node);
    throw new RoundtableError(
      'MODEL_UNKNOWN_OPERATOR',
      `The ${describeNode(node)} cannot be trained${weight ? `, and the weight ${weight} lies behind it` : ''}. Supported operators: ${[...Object.keys(gradientRules), ...Object.keys(compositions)].sort().join(', ')}.`,
      { details: { operator: node.opType, node: node.name, weight } },
    );
  }
}

/** The first weight, upstream of a node, whose gradient would have to pass it. */
function weightBehind(graph: Pick<Graph, 'nodes' | 'weights'>, node: NodeProto): string | undefined {
  const weights = new Set(graph.weights.map(({ name }) => name));
  const producers = new Map(
    graph.nodes.flatMap((producer) => producer.output.map((name) => [name, producer] as const)),
  );
  const seen = new Set([node]);
  for (const current of seen) {
    const weight = current.input.find((name) => weights.has(name));
    if (weight !== undefined) return weight;
    for (const name of current.input) {
      const producer = producers.get(name);
      if (producer) seen.add(producer);
    }
  }
  return undefined;
}

/** Every value is made once, and before it is used: this also rules out cycles. */
function checkOrder(
  graph: Pick<Graph, 'nodes' | 'weights' | 'inputs' | 'constants'> & { output: { name: string } },
): void {
  const made = new Set<string>();
  const make = (name: string, by: string) => {
    if (made.has(name)) throw malformed(`The value ${name} is made twice, the second time by ${by}.`);
    made.add(name);
  };
  for (const { name } of [...graph.inputs, ...graph.weights, ...graph.constants])
    make(name, 'an input or initialiser');
  for (const node of graph.nodes) {
    const missing = node.input.find((name) => name && !made.has(name));
    if (missing !== undefined)
      throw malformed(
        `The ${describeNode(node)} reads ${missing}, which nothing before it makes (ONNX wants nodes in order, without cycles).`,
      );
    const outputs = node.output.filter(Boolean);
    if (outputs.length === 0) throw malformed(`The ${describeNode(node)} must have an output.`);
    for (const name of outputs) make(name, `the ${describeNode(node)}`);
  }
  if (!made.has(graph.output.name)) throw malformed(`Nothing makes the output ${graph.output.name}.`);
}

function malformed(message: string): RoundtableError {
  return new RoundtableError(
    'MODEL_NOT_ONNX',
    `${message} The file is damaged or was made by hand; export it again.`,
  );
}
