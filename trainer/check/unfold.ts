/**
 * Exporters fold a BatchNorm in inference form into the product before it: W' = s W and b' = (b - mean) s + beta, with
 * s = gamma / sqrt(variance + epsilon). A reference that has W, gamma and beta says what the export forgot.
 */
import { create } from '@bufbuild/protobuf';
import { plain } from '../exporters/traces.js';
import { openGraph } from '../graph.js';
import { intAttribute } from '../onnx/attributes.js';
import { attribute, nodeLike } from '../onnx/builder.js';
import {
  ModelProtoSchema,
  NodeProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from '../onnx/onnx.gen.js';
import { floatTensor, readFloats, tensorShape } from '../onnx/tensor.js';
import type { Numbers } from './tensors.js';

const epsilon = 1e-5;

/** The model with its norms apart again, as far as the parameters of the reference tell; else as it is. */
export function unfoldNorms(model: ModelProto, parameters: ReadonlyMap<string, Numbers>): ModelProto {
  const { graph } = openGraph(model);
  const tensors = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const made = new Map<string, TensorProto>();
  const taken = new Set<string>();
  const add = (name: string, shape: readonly number[], values: ArrayLike<number>) => {
    made.set(name, floatTensor(name, shape, Float32Array.from(values)));
    return name;
  };
  const node = graph.node.flatMap((product) => {
    const folded = findFolded(product, tensors, parameters, taken);
    if (!folded) return [product];
    const { name, weight, scale, bias, own } = folded;
    const norm = normOf(product, name, scale, parameters, taken);
    if (norm === undefined && !isNormTraced(product)) return [product];
    taken.add(name);
    const [result = ''] = product.output;
    const apart = `${result}/unfolded`;
    const values = (of: string) => parameters.get(of)?.values ?? new Float64Array();
    const before = own === undefined ? new Float64Array(scale.length) : values(own);
    const inputs = [
      product.input[0] ?? '',
      add(name, weight, values(name)),
      ...(own === undefined ? [] : [add(own, [scale.length], before)]),
    ];
    const again = nodeLike(product, { input: inputs, output: [apart] });
    if (norm === undefined) return [again, ...scaled(apart, folded, before, result)];
    taken.add(norm);
    const [gamma, beta] = [values(`${norm}.weight`), values(`${norm}.bias`)];
    const means = scale.map((s, at) => (before[at] ?? 0) - ((bias[at] ?? 0) - (beta[at] ?? 0)) / s);
    const variances = scale.map((s, at) => ((gamma[at] ?? 0) / s) ** 2 - epsilon);
    return [
      again,
      create(NodeProtoSchema, {
        opType: 'BatchNormalization',
        name: `${norm}/unfolded`,
        input: [
          apart,
          add(`${norm}.weight`, [scale.length], gamma),
          add(`${norm}.bias`, [scale.length], beta),
          add(`${norm}.running_mean`, [scale.length], means),
          add(`${norm}.running_var`, [scale.length], variances),
        ],
        output: [result],
        attribute: [attribute('epsilon', { float: epsilon })],
      }),
    ];
  });
  const initializer = [...graph.initializer.filter(({ name }) => !made.has(name)), ...made.values()];
  graph.node = node;
  graph.initializer = initializer;
  return create(ModelProtoSchema, { opsetImport: model.opsetImport, irVersion: model.irVersion, graph });
}

interface Folded {
  /** PyTorch's name of the product's weight, and its shape. */
  readonly name: string;
  readonly weight: readonly number[];
  /** One factor for each channel. */
  readonly scale: Float64Array;
  readonly bias: Float32Array;
  /** PyTorch's name of the product's own bias, if it had one. */
  readonly own: string | undefined;
}

/** The newer exporter's trace of a product into which it folded a norm. */
function isNormTraced(node: NodeProto): boolean {
  return node.metadataProps.some(({ key, value }) => key.endsWith('fx_node') && value.includes('batch_norm'));
}

/** A norm without scale and shift of its own: what is left of it are numbers, which stand in the graph and are not trained. */
function scaled(
  value: string,
  { weight, scale, bias }: Folded,
  before: Float64Array,
  result: string,
): NodeProto[] {
  const shape = [scale.length, ...weight.slice(2).map(() => 1)];
  const constant = (name: string, values: ArrayLike<number>) =>
    create(NodeProtoSchema, {
      opType: 'Constant',
      name,
      output: [name],
      attribute: [attribute('value', { tensor: floatTensor(name, shape, Float32Array.from(values)) })],
    });
  const [factor, summand, product] = ['factor', 'summand', 'scaled'].map((kind) => `${value}/${kind}`) as [
    string,
    string,
    string,
  ];
  const shift = scale.map((s, at) => (bias[at] ?? 0) - s * (before[at] ?? 0));
  return [
    constant(factor, scale),
    constant(summand, shift),
    nodeOf('Mul', [value, factor], product),
    nodeOf('Add', [product, summand], result),
  ];
}

function nodeOf(opType: string, input: string[], output: string): NodeProto {
  return create(NodeProtoSchema, { opType, name: output, input, output: [output] });
}

/** A product whose weight is, channel by channel, a multiple of a parameter, and not the parameter itself. */
function findFolded(
  node: NodeProto,
  tensors: ReadonlyMap<string, TensorProto>,
  parameters: ReadonlyMap<string, Numbers>,
  taken: ReadonlySet<string>,
): Folded | undefined {
  const [weight, bias] = [tensors.get(node.input[1] ?? ''), tensors.get(node.input[2] ?? '')];
  const axis = channelAxis(node);
  // A bias of zeros is left out: the fold of a norm that was never trained.
  if (!weight || axis === undefined || (!bias && !isNormTraced(node))) return undefined;
  const [shape, values] = [tensorShape(weight), readFloats(weight)];
  const candidates = [...parameters]
    .filter(([name, numbers]) => numbers.shape.join() === shape.join() && !taken.has(name))
    .sort(([a], [b]) => Number(b === weight.name) - Number(a === weight.name));
  if (candidates.some(([, numbers]) => values.every((value, at) => value === numbers.values[at])))
    return undefined;
  for (const [name, numbers] of candidates) {
    const scale = multiples(values, numbers.values, shape, axis);
    if (!scale) continue;
    const own = name.replace(/weight$/, 'bias');
    const isOwn = own !== name && parameters.get(own)?.values.length === scale.length;
    const shift = bias ? readFloats(bias) : new Float32Array(scale.length);
    return { name, weight: shape, scale, bias: shift, own: isOwn ? own : undefined };
  }
  return undefined;
}

function channelAxis(node: NodeProto): number | undefined {
  switch (node.opType) {
    case 'Conv':
      return 0;
    case 'ConvTranspose':
      return intAttribute(node, 'group', 1) === 1 ? 1 : undefined;
    case 'Gemm':
      return intAttribute(node, 'transB', 0) === 0 ? 1 : 0;
    default:
      return undefined;
  }
}

/** Factors of the channels by least squares, if they explain the values to the rounding of float32. */
function multiples(
  values: Float32Array,
  original: Float64Array,
  shape: readonly number[],
  axis: number,
): Float64Array | undefined {
  const channels = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const channelOf = (at: number) => Math.floor(at / inner) % channels;
  const [products, squares, largest] = [0, 1, 2].map(() => new Float64Array(channels)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  original.forEach((value, at) => {
    const channel = channelOf(at);
    products[channel] = (products[channel] ?? 0) + value * (values[at] ?? 0);
    squares[channel] = (squares[channel] ?? 0) + value * value;
    largest[channel] = Math.max(largest[channel] ?? 0, Math.abs(values[at] ?? 0));
  });
  const scale = products.map((product, channel) => product / (squares[channel] ?? 0));
  const fits = original.every((value, at) => {
    const channel = channelOf(at);
    return Math.abs((values[at] ?? 0) - value * (scale[channel] ?? 0)) <= 1e-6 * (largest[channel] ?? 0);
  });
  return fits && scale.every((s) => Number.isFinite(s) && s !== 0) ? scale : undefined;
}

/**
 * The norm that was folded, if it has parameters: the one that the exporter's trace names, else the only one of this size, else the one whose
 * name is most like that of the product.
 */
function normOf(
  node: NodeProto,
  product: string,
  scale: Float64Array,
  parameters: ReadonlyMap<string, Numbers>,
  taken: ReadonlySet<string>,
): string | undefined {
  const call = node.metadataProps.map(({ value }) => value).join('\n');
  if (isNormTraced(node) && /args = \(%\w+, None, None,/.test(call)) return undefined;
  const norms = [...parameters].flatMap(([name, { shape, values }]) => {
    const norm = name.replace(/\.weight$/, '');
    const fits =
      norm !== name &&
      !taken.has(norm) &&
      shape.length === 1 &&
      parameters.get(`${norm}.bias`)?.shape.join() === shape.join() &&
      values.length === scale.length &&
      values.every((value, at) => value * (scale[at] ?? 0) > 0);
    return fits ? [norm] : [];
  });
  const named = norms.filter((norm) => call.includes(`%p_${plain(norm)}_weight`));
  if (named.length === 1) return named[0];
  const module = product.replace(/\.weight$/, '');
  const likeness = (norm: string) =>
    1000 * common(norm, module) + (digits(norm) === digits(module) ? 500 : 0);
  const sorted = norms.toSorted(
    (a, b) => likeness(b) - likeness(a) || a.localeCompare(b, 'en', { numeric: true }),
  );
  return sorted[0];
}

/** Modules that two names share from the top. */
function common(a: string, b: string): number {
  const [left, right] = [a.split('.'), b.split('.')];
  const differs = left.findIndex((part, at) => part !== right[at]);
  return differs < 0 ? left.length : differs;
}

function digits(name: string): string {
  return /\d*$/.exec(name)?.[0] ?? '';
}
