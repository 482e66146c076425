/** ONNX files as the page reads and writes them; numbers of fields from onnx.proto3 (https://github.com/onnx/onnx). */
import { bytesOf } from '#core/bytes.js';
import type { WeightTensor } from '#core/layout.js';
import { fieldsOf, integer, joined, message, numbersOf, textOf, type Field } from './protobuf.js';

export interface Tensor {
  dims: number[];
  data: Float32Array;
}

export interface Node {
  op: string;
  inputs: string[];
  outputs: string[];
  integers: Map<string, number[]>;
  floats: Map<string, number>;
  tensors: Map<string, Tensor>;
}

export interface Graph {
  nodes: Node[];
  constants: Map<string, Tensor>;
  /** Data and weights; the batch, which is free, counts as 1. */
  inputs: { name: string; dims: number[] }[];
  output: string;
}

/** A job's graph, whose weights are inputs. @throws Error for what is not one */
export function readGraph(file: Uint8Array): Graph {
  const graph = fieldsOf(graphOf(file));
  const named = (number: number) => all(graph, number).map((bytes) => text(fieldsOf(bytes), VALUE.name));
  const [output = ''] = named(GRAPH.output);
  return {
    nodes: all(graph, GRAPH.node).map(readNode),
    constants: new Map(all(graph, GRAPH.initializer).map(readTensor)),
    inputs: all(graph, GRAPH.input).map(readInput),
    output,
  };
}

/** The graph with its weights as initialisers: a file that any runtime loads. */
export function writeOnnx(file: Uint8Array, weights: readonly WeightTensor[]): Uint8Array<ArrayBuffer> {
  const names = new Set(weights.map(({ name }) => name));
  const isWeight = ({ number, bytes }: Field) =>
    number === GRAPH.input && names.has(text(fieldsOf(bytes), VALUE.name));
  const rest = fieldsOf(graphOf(file)).filter((field) => !isWeight(field));
  const tensors = weights.flatMap(({ name, dims, data }) =>
    message(GRAPH.initializer, [
      ...dims.map((dim) => integer(TENSOR.dims, dim)),
      integer(TENSOR.type, FLOAT),
      ...message(TENSOR.name, [new TextEncoder().encode(name)]),
      ...message(TENSOR.raw, [bytesOf(data)]),
    ]),
  );
  const head = fieldsOf(file).filter(({ number }) => number !== MODEL.graph);
  return joined([
    ...head.map(({ raw }) => raw),
    ...message(MODEL.graph, [...rest.map(({ raw }) => raw), ...tensors]),
  ]);
}

const MODEL = { graph: 7 };
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 };
const NODE = { input: 1, output: 2, op: 4, attribute: 5 };
const ATTRIBUTE = { name: 1, float: 2, integer: 3, text: 4, tensor: 5, integers: 8 };
const TENSOR = { dims: 1, type: 2, floats: 4, integers: 7, name: 8, raw: 9 };
const VALUE = { name: 1, type: 2, tensor: 1, shape: 2, dim: 1, size: 1 };
const FLOAT = 1;
const INT64 = 7;

function graphOf(file: Uint8Array): Uint8Array {
  const [graph] = all(fieldsOf(file), MODEL.graph);
  if (!graph) throw new Error('Not an ONNX file: it has no graph.');
  return graph;
}

const all = (fields: readonly Field[], number: number): Uint8Array[] =>
  fields.filter((field) => field.number === number).map(({ bytes }) => bytes);
const text = (fields: readonly Field[], number: number): string => {
  const [bytes] = all(fields, number);
  return bytes ? textOf(bytes) : '';
};

/** ValueInfo, its type, the tensor in it, its shape: each a message in the other. */
function readInput(bytes: Uint8Array): { name: string; dims: number[] } {
  const fields = fieldsOf(bytes);
  const inner = (of: readonly Field[], number: number) => fieldsOf(all(of, number)[0] ?? new Uint8Array());
  const shape = inner(inner(inner(fields, VALUE.type), VALUE.tensor), VALUE.shape);
  const dims = all(shape, VALUE.dim).map(
    (dim) => fieldsOf(dim).find(({ number }) => number === VALUE.size)?.value ?? 1,
  );
  return { name: text(fields, VALUE.name), dims };
}

function readNode(bytes: Uint8Array): Node {
  const fields = fieldsOf(bytes);
  const node: Node = {
    op: text(fields, NODE.op),
    inputs: all(fields, NODE.input).map(textOf),
    outputs: all(fields, NODE.output).map(textOf),
    integers: new Map(),
    floats: new Map(),
    tensors: new Map(),
  };
  for (const attribute of all(fields, NODE.attribute)) {
    const of = fieldsOf(attribute);
    const name = text(of, ATTRIBUTE.name);
    for (const { number, value, bytes: inner } of of) {
      if (number === ATTRIBUTE.float) node.floats.set(name, floatOf(value));
      if (number === ATTRIBUTE.integer) node.integers.set(name, [value]);
      if (number === ATTRIBUTE.tensor) node.tensors.set(name, readTensor(inner)[1]);
      if (number === ATTRIBUTE.text && name === 'auto_pad' && textOf(inner) !== 'NOTSET')
        throw new Error(`The page does not run ${node.op} with auto_pad.`);
    }
    const integers = numbersOf(of, ATTRIBUTE.integers);
    if (integers.length > 0) node.integers.set(name, integers);
  }
  return node;
}

function readTensor(bytes: Uint8Array): [name: string, tensor: Tensor] {
  const fields = fieldsOf(bytes);
  const dims = numbersOf(fields, TENSOR.dims);
  const name = text(fields, TENSOR.name);
  const type = fields.find(({ number }) => number === TENSOR.type)?.value;
  const [raw] = all(fields, TENSOR.raw);
  if (type !== FLOAT && type !== INT64) throw new Error(`The page does not read tensors of type ${type}.`);
  if (raw) return [name, { dims, data: type === FLOAT ? floats(raw) : integers(raw) }];
  const listed =
    type === FLOAT
      ? all(fields, TENSOR.floats).flatMap((list) => [...floats(list)])
      : numbersOf(fields, TENSOR.integers);
  return [name, { dims, data: Float32Array.from(listed) }];
}

/** Copied: bytes within a file need not be aligned. */
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
const integers = (bytes: Uint8Array): Float32Array =>
  Float32Array.from(new BigInt64Array(bytes.slice().buffer), Number);
const floatOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0] ?? 0;
