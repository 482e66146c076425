import { create, toBinary } from '@bufbuild/protobuf';
import { compareBytes } from '#core/bytes.js';
import { RoundtableError } from '#core/errors.js';
import { fixStatistics, statisticsOf } from './batchNorm.js';
import { insertAdapters, type AdapterOptions } from './adapters.js';
import { influences } from './differentiate.js';
import { undoExport } from './exporters.js';
import { parametersOf } from './exporters/parameters.js';
import {
  batchSymbol,
  checkGraph,
  encodeGraph,
  readInput,
  readGraph,
  openGraph,
  type Graph,
} from './graph.js';
import { decodeModel } from './onnx/decode.js';
import {
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './onnx/onnx.gen.js';
import { canonicalTensor, elementCount, floatTensor, readFloats, tensorShape } from './onnx/tensor.js';

export interface WeightTensor {
  readonly name: string;
  readonly dims: readonly number[];
  /** Row-major, as many values as the product of dims. */
  readonly data: Float32Array;
}

/** An ONNX model, split into what stays the same during a job and what is trained. */
export interface Model {
  /** ONNX protobuf without the trainable weights, which became inputs. Only structure decides its bytes, never values of weights. */
  readonly graph: Uint8Array<ArrayBuffer>;
  /** In byte order of their UTF-8 names. */
  readonly weights: readonly WeightTensor[];
  readonly inputs: Graph['inputs'];
  readonly output: Graph['output'];
}

export interface ReadOptions {
  /** Which parameters are trained; all by default, and none but the adapters where there are some. */
  readonly trainable?: (name: string) => boolean;
  readonly adapters?: AdapterOptions;
  /** The statistics of norms are to stay with each runner: the model must have some. */
  readonly batchNorm?: 'frozen' | 'local';
}

/**
 * Reads an ONNX file (opset 13 to 23, inputs whose first dimension is the batch, one output). Trained are the float32
 * parameters that a gradient of the output reaches, as far as `trainable` wants them; all others stay as they are.
 * @throws MODEL_NOT_ONNX, MODEL_EXTERNAL_DATA, MODEL_UNKNOWN_OPERATOR, MODEL_NO_WEIGHTS, MODEL_SHAPE_MISMATCH,
 * MODEL_UNSUPPORTED. Hostile files are refused in time and memory proportional to their size.
 */
export function readModel(file: Uint8Array | ModelProto, options: ReadOptions = {}): Model {
  const { opset, graph: proto } = openGraph(file instanceof Uint8Array ? decodeModel(file) : file);
  uniqueInitializers(proto);
  undoExport(proto);
  const initializers = uniqueInitializers(proto);
  const output = proto.output[0];
  if (!output || proto.output.length > 1)
    throw unsupported(
      `has ${proto.output.length} outputs; exactly one is expected. Export only the output that the loss looks at`,
    );

  const made = liveNodes(proto, output.name);
  const inputs = dataInputs(proto, initializers, made);
  const isParameter = parametersOf(proto);
  const adapters = options.adapters
    ? insertAdapters(made, [...initializers.values()].filter(isParameter), options.adapters)
    : { nodes: made, tensors: [], trained: [] };
  const { nodes } = adapters;
  const used = new Set(nodes.flatMap((node) => node.input));
  const live = [...initializers.values(), ...adapters.tensors]
    .filter((tensor) => used.has(tensor.name))
    .sort((a, b) => compareUtf8(a.name, b.name));
  const reached = influences(nodes, output.name);
  const inserted = new Set(adapters.trained);
  const isWanted = options.trainable ?? (() => options.adapters === undefined);
  const trained = new Set(
    live.filter(
      (tensor) =>
        tensor.dataType === DataType.FLOAT &&
        reached.has(tensor.name) &&
        (inserted.has(tensor.name) ||
          (initializers.has(tensor.name) && isParameter(tensor) && isWanted(tensor.name))),
    ),
  );
  const weights = [...trained].map((tensor) => ({
    name: tensor.name,
    dims: tensorShape(tensor),
    data: readFloats(tensor),
  }));
  const constants = live
    .filter((tensor) => !trained.has(tensor))
    .map((tensor) => canonicalTensor(tensor, tensor.name));
  if (weights.length === 0)
    throw new RoundtableError(
      'MODEL_NO_WEIGHTS',
      'No float32 parameter that is to be trained takes part in the computation of the output, so there is nothing to train. Export the parameters as initialisers (torch.onnx.export does), and look at the patterns of what is trained.',
    );
  const graph = checkGraph({
    opset,
    inputs,
    output: { name: output.name },
    weights: weights.map(({ name, dims }) => ({ name, shape: dims })),
    nodes: nodes.map(canonicalNode),
    constants,
  });
  if (options.batchNorm === 'local') statisticsOf(graph);
  return { graph: encodeGraph(graph), weights, inputs: graph.inputs, output: graph.output };
}

/**
 * Puts weights back into a graph: an ordinary ONNX file that any runtime loads.
 * @param statistics of norms that were trained with their own; the model then normalises by them
 * @throws MODEL_SHAPE_MISMATCH when the weights are not those of the graph.
 */
export function writeModel(
  graph: Uint8Array,
  weights: readonly WeightTensor[],
  statistics: readonly WeightTensor[] = [],
): Uint8Array<ArrayBuffer> {
  const { inputs } = readGraph(graph);
  checkWeights(readGraph(graph), weights);
  const model = decodeModel(graph);
  const { graph: proto } = openGraph(model);
  proto.input = proto.input.slice(0, inputs.length);
  if (statistics.length > 0) fixStatistics(proto, statistics);
  proto.initializer = [
    ...weights.map(({ name, dims, data }) => floatTensor(name, dims, data)),
    ...proto.initializer,
  ];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: model.irVersion, opsetImport: model.opsetImport, graph: proto }),
  );
}

/** @throws MODEL_SHAPE_MISMATCH unless there is exactly one tensor of the right size for each weight of the graph. */
export function checkWeights(graph: Graph, weights: readonly WeightTensor[]): void {
  const given = new Map(weights.map((weight) => [weight.name, weight]));
  for (const { name, shape } of graph.weights) {
    const weight = given.get(name);
    if (!weight || weight.dims.join() !== shape.join() || weight.data.length !== elementCount(shape))
      throw new RoundtableError(
        'MODEL_SHAPE_MISMATCH',
        `The graph expects the weight ${name} with shape [${shape.join(', ')}]; ${weight ? `[${weight.dims.join(', ')}] with ${weight.data.length} values was given` : 'it was not given'}.`,
        { details: { weight: name, expected: shape, found: weight?.dims } },
      );
  }
  const surplus = weights.find(({ name }) => !graph.weights.some((weight) => weight.name === name));
  if (surplus || weights.length !== graph.weights.length)
    throw new RoundtableError(
      'MODEL_SHAPE_MISMATCH',
      `The graph has ${graph.weights.length} weights, ${weights.length} were given${surplus ? `, among them the unknown ${surplus.name}` : ''}.`,
    );
}

function uniqueInitializers(graph: GraphProto): Map<string, TensorProto> {
  if (graph.sparseInitializer.length > 0)
    throw unsupported('keeps weights as sparse tensors; export dense ones');
  const byName = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  if (byName.size !== graph.initializer.length)
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      'Two initialisers of the model have the same name. The file is damaged; export it again.',
    );
  return byName;
}

/** Old files list their initialisers among the inputs; what remains is the data. */
function dataInputs(
  graph: GraphProto,
  initializers: ReadonlyMap<string, TensorProto>,
  nodes: readonly NodeProto[],
): Graph['inputs'] {
  const used = new Set(nodes.flatMap((node) => node.input));
  const declared = graph.input.filter(({ name }) => !initializers.has(name));
  if (declared.length === 0) throw unsupported('has no input');
  const read = declared.filter(({ name }) => used.has(name));
  const inputs = read.length > 0 ? read : declared;
  return inputs.map((input) => {
    const { dims, ...type } = readInput(input);
    const [batch, ...sample] = dims;
    if (batch === undefined)
      throw unsupported(
        `has the input ${input.name}, a single number; data with the batch first is expected`,
      );
    const open = sample.find((dim) => typeof dim === 'string' || !Number.isSafeInteger(dim) || dim < 1);
    if (open !== undefined)
      throw unsupported(
        `has the open dimension ${open} in its input ${input.name}; only the first, the batch, may be open`,
      );
    return { ...type, dims: [batchSymbol, ...sample] };
  });
}

/** Nodes that the output depends on, in the order of the file. */
function liveNodes(graph: GraphProto, output: string): NodeProto[] {
  const made = graph.node.flatMap((node) => node.output.filter(Boolean).map((name) => [name, node] as const));
  const producers = new Map(made);
  if (producers.size !== made.length)
    throw new RoundtableError(
      'MODEL_NOT_ONNX',
      'Two nodes of the model make the same value. The file is damaged; export it again.',
    );
  const live = new Set<NodeProto>();
  const wanted = [output];
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const node = producers.get(name);
    if (!node || live.has(node)) continue;
    live.add(node);
    wanted.push(...node.input);
  }
  return graph.node.filter((node) => live.has(node));
}

/** Without comments and metadata (exporters write file names and line numbers there), attributes in order of name. */
function canonicalNode(node: NodeProto): NodeProto {
  return create(NodeProtoSchema, {
    opType: node.opType,
    domain: node.domain === 'ai.onnx' ? '' : node.domain,
    name: node.name,
    input: node.input,
    output: node.output,
    attribute: [...node.attribute].sort((a, b) => compareUtf8(a.name, b.name)).map(canonicalAttribute),
  });
}

function canonicalAttribute(attribute: AttributeProto): AttributeProto {
  attribute.docString = '';
  if (attribute.t) attribute.t = canonicalTensor(attribute.t, '');
  return attribute;
}

/** Order of the UTF-8 bytes, which is not that of JavaScript's strings. */
function compareUtf8(a: string, b: string): number {
  return compareBytes(new TextEncoder().encode(a), new TextEncoder().encode(b));
}

function unsupported(what: string): RoundtableError {
  return new RoundtableError('MODEL_UNSUPPORTED', `The model ${what}.`);
}
