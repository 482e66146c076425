import { RoundtableError } from '#core/errors.js';
import { describeNode, intAttribute, tensorAttribute } from './onnx/attributes.js';
import { TensorProto_DataType as DataType, type NodeProto, type TensorProto } from './onnx/onnx.gen.js';
import { elementCount, type Shape } from './onnx/tensor.js';
import { einsumShape } from './shapes/einsum.js';
import { evaluate } from './shapes/evaluate.js';
import { layoutShapes } from './shapes/layout.js';
import {
  broadcast,
  learn,
  learnConstant,
  mismatch,
  NodeShapes,
  text,
  unsupported,
  type KnownValues,
} from './shapes/values.js';
import { convolution, pooling, transposedConvolution } from './shapes/windows.js';

/** No single value may have more elements; what does is a mistake or an attack, and would not fit into memory. */
const maxElements = 2 ** 31;

/** Operators this compiler reads. An operator that can also be differentiated stands in gradients.ts as well. */
export function isKnownOperator(node: NodeProto): boolean {
  return (node.domain === '' || node.domain === 'ai.onnx') && Object.hasOwn(shapeRules, node.opType);
}

/**
 * Shapes of all values for a given shape of the inputs. `nodes` are in topological order and all of known operators.
 * @throws MODEL_SHAPE_MISMATCH where shapes do not fit each other, MODEL_UNSUPPORTED for forms not handled.
 */
export function inferShapes(
  nodes: readonly NodeProto[],
  constants: readonly TensorProto[],
  inputs: ReadonlyMap<string, Shape>,
  opset = 18,
  types: ReadonlyMap<string, DataType> = new Map(),
): KnownValues {
  const known: KnownValues = { shapes: new Map(inputs), types: new Map(types), contents: new Map() };
  for (const constant of constants) learn(known, constant.name, constant);
  for (const node of nodes) {
    const rule = shapeRules[node.opType];
    if (!rule)
      throw new RoundtableError(
        'MODEL_UNKNOWN_OPERATOR',
        `There is no shape rule for the ${describeNode(node)}.`,
      );
    const s = new NodeShapes(node, known, opset);
    const result = rule(s);
    const shapes = isShape(result) ? [result] : result;
    node.output.forEach((name, index) => {
      const shape = shapes[index];
      if (!name) return;
      if (!shape) throw unsupported(node, `has an output ${index} that is not known`);
      if (elementCount(shape) > maxElements)
        throw unsupported(
          node,
          `would produce ${elementCount(shape)} values; at most ${maxElements} are possible`,
        );
      known.shapes.set(name, shape);
      if (node.opType !== 'Constant') known.types.set(name, typeOf(s, index));
    });
    evaluate(s, shapes)?.forEach((values, index) => known.contents.set(node.output[index] ?? '', values));
  }
  return known;
}

type ShapeRule = (s: NodeShapes) => Shape | readonly Shape[];

const same: ShapeRule = (s) => s.input(0);
const stretched: ShapeRule = (s) =>
  s.node.input.map((_, index) => s.input(index)).reduce((a, b) => broadcast(s.node, a, b));

/** The smaller operators; those with a name of their own follow. */
const shapeRules: Record<string, ShapeRule> = {
  ...Object.fromEntries(
    (
      'Neg Abs Sqrt Exp Log Erf Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh Atanh Reciprocal Relu LeakyRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish Mish ' +
      'Softplus Softsign ThresholdedRelu Tanh Cast CastLike Identity Softmax LogSoftmax CumSum Floor Ceil Round Sign Not IsNaN IsInf ' +
      'Clip InstanceNormalization GroupNormalization RMSNormalization'
    )
      .split(' ')
      .map((operator) => [operator, same]),
  ),
  ...Object.fromEntries(
    'Add Sub Mul Div Pow Mod Max Min Sum Mean Where PRelu Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor'
      .split(' ')
      .map((operator) => [operator, stretched]),
  ),
  ...Object.fromEntries(
    'Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp'
      .split(' ')
      .map((operator) => [`Reduce${operator}`, reduced]),
  ),
  ...layoutShapes,
  ArgMax: argument,
  ArgMin: argument,
  Attention: (s) => attention(s),
  AveragePool: pooling,
  BatchNormalization: (s) => [s.input(0), s.input(3), s.input(4)],
  Constant: (s) => learnConstant(s.known, s.node),
  ConstantOfShape: (s) => s.integers(0),
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  Dropout: (s) => [s.input(0), s.input(0)],
  Einsum: einsumShape,
  Gemm: (s) => {
    const [m, k] = matrix(s.node, s.input(0), intAttribute(s.node, 'transA', 0) !== 0);
    const [k2, n] = matrix(s.node, s.input(1), intAttribute(s.node, 'transB', 0) !== 0);
    if (k !== k2)
      throw mismatch(
        s.node,
        `multiplies ${text(s.input(0))} by ${text(s.input(1))}: ${k} columns meet ${k2} rows`,
      );
    if (s.has(2) && text(broadcast(s.node, s.input(2), [m, n])) !== text([m, n]))
      throw mismatch(s.node, `adds ${text(s.input(2))} to a product of ${text([m, n])}`);
    return [m, n];
  },
  GlobalAveragePool: (s) => s.input(0).map((dim, axis) => (axis < 2 ? dim : 1)),
  GlobalMaxPool: (s) => s.input(0).map((dim, axis) => (axis < 2 ? dim : 1)),
  GRU: (s) => recurrent(s, 3).slice(0, 2),
  LayerNormalization: (s) => {
    const shape = s.input(0);
    const axis = s.axis('axis', -1, shape.length);
    const statistics = shape.map((dim, at) => (at < axis ? dim : 1));
    return [shape, statistics, statistics];
  },
  LSTM: (s) => recurrent(s, 4),
  MatMul: (s) => {
    const [a, b] = [s.input(0), s.input(1)];
    if (a.length === 0 || b.length === 0) throw mismatch(s.node, 'multiplies a single number');
    const k = a.at(-1);
    const k2 = b.at(-2) ?? b[0];
    if (k !== k2) throw mismatch(s.node, `multiplies ${text(a)} by ${text(b)}: ${k} columns meet ${k2} rows`);
    // A vector is a row on the left, a column on the right, and its axis is gone afterwards.
    const [rows, columns] = [a.slice(-2, -1), b.length === 1 ? [] : b.slice(-1)];
    return [...broadcast(s.node, a.slice(0, -2), b.slice(0, -2)), ...rows, ...columns];
  },
  MaxPool: (s) => {
    const shape = pooling(s);
    return [shape, shape];
  },
  OneHot: (s) => {
    const shape = [...s.input(0)];
    const axis = s.axis('axis', -1, shape.length + 1);
    shape.splice(axis, 0, s.integers(1)[0] ?? 0);
    return shape;
  },
  Range: (s) => {
    const [from = 0, to = 0, step = 1] = [0, 1, 2].map((index) => s.integers(index)[0]);
    return [Math.max(0, Math.ceil((to - from) / step))];
  },
  RNN: (s) => recurrent(s, 1).slice(0, 2),
  RotaryEmbedding: same,
  Shape: (s) => {
    const rank = s.input(0).length;
    const clamp = (at: number) => Math.max(0, Math.min(rank, at < 0 ? at + rank : at));
    const count = clamp(intAttribute(s.node, 'end', rank)) - clamp(intAttribute(s.node, 'start', 0));
    return [Math.max(0, count)];
  },
  Size: () => [],
  TopK: (s) => {
    const shape = s.input(0);
    const axis = s.axis('axis', -1, shape.length);
    const kept = shape.map((dim, at) => (at === axis ? (s.integers(1)[0] ?? 0) : dim));
    return [kept, kept];
  },
};

function typeOf(s: NodeShapes, output: number): DataType {
  switch (s.node.opType) {
    case 'Cast':
      return intAttribute(s.node, 'to', DataType.FLOAT);
    case 'CastLike':
    case 'Where':
      return s.type(1);
    case 'OneHot':
      return s.type(2);
    case 'ConstantOfShape':
      return tensorAttribute(s.node, 'value')?.dataType ?? DataType.FLOAT;
    case 'Dropout':
      return output === 1 ? DataType.BOOL : s.type(0);
    case 'MaxPool':
    case 'TopK':
      return output === 1 ? DataType.INT64 : s.type(0);
    default:
      if (integerOutputs.has(s.node.opType)) return DataType.INT64;
      return booleanOutputs.has(s.node.opType) ? DataType.BOOL : s.type(0);
  }
}

const integerOutputs = new Set(['Shape', 'Size', 'ArgMax', 'ArgMin', 'NonZero']);
const booleanOutputs = new Set(
  'Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Not IsNaN IsInf'.split(' '),
);

function isShape(result: Shape | readonly Shape[]): result is Shape {
  return typeof result[0] === 'number' || result.length === 0;
}

function reduced(s: NodeShapes): Shape {
  const shape = s.input(0);
  const axes = reducedAxes(s, shape.length);
  if (intAttribute(s.node, 'keepdims', 1) === 0) return shape.filter((_, axis) => !axes.includes(axis));
  return shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
}

/** Without axes, all of them, or none where noop_with_empty_axes says so. */
export function reducedAxes(s: NodeShapes, rank: number): readonly number[] {
  const axes = s.axes(rank, 1) ?? [];
  if (axes.length > 0) return axes;
  return intAttribute(s.node, 'noop_with_empty_axes', 0) !== 0 ? [] : [...Array(rank).keys()];
}

function argument(s: NodeShapes): Shape {
  const shape = s.input(0);
  const axis = s.axis('axis', 0, shape.length);
  if (intAttribute(s.node, 'keepdims', 1) === 0) return shape.filter((_, at) => at !== axis);
  return shape.map((dim, at) => (at === axis ? 1 : dim));
}

/** Y [steps, directions, batch, hidden], then the last state(s) [directions, batch, hidden]. */
function recurrent(s: NodeShapes, gates: number): Shape[] {
  const [steps = 0, batch = 0, width] = s.input(0);
  const [directions = 0, rows = 0, columns] = s.input(1);
  const hidden = intAttribute(s.node, 'hidden_size', s.input(2)[2] ?? 0);
  if (s.input(0).length !== 3 || rows !== gates * hidden || columns !== width)
    throw mismatch(s.node, `applies weights of ${text(s.input(1))} to a sequence of ${text(s.input(0))}`);
  if (intAttribute(s.node, 'layout', 0) !== 0) throw unsupported(s.node, 'has the batch first (layout 1)');
  if (s.has(4) || s.has(7) || intAttribute(s.node, 'input_forget', 0) !== 0)
    throw unsupported(s.node, 'has sequence lengths or peepholes');
  const state = [directions, batch, hidden];
  return [[steps, directions, batch, hidden], state, state];
}

/** Opset 23: queries, keys, values as [batch, heads, length, width] or [batch, length, heads * width]. */
function attention(s: NodeShapes): Shape {
  const [q, k, v] = [s.input(0), s.input(1), s.input(2)];
  if (s.has(4) || s.has(5) || s.node.output.length > 1)
    throw unsupported(s.node, 'keeps past keys and values; export the model for training');
  if (q.length === 4) return [...q.slice(0, 3), v[3] ?? 0];
  const [queries, keys] = [intAttribute(s.node, 'q_num_heads', 1), intAttribute(s.node, 'kv_num_heads', 1)];
  if (k.length !== 3 || v.length !== 3) throw mismatch(s.node, `reads ${text(q)}, ${text(k)} and ${text(v)}`);
  return [q[0] ?? 0, q[1] ?? 0, ((v[2] ?? 0) / keys) * queries];
}

function matrix(node: NodeProto, shape: Shape, transposed: boolean): [number, number] {
  const [rows, columns, ...more] = shape;
  if (rows === undefined || columns === undefined || more.length > 0)
    throw mismatch(node, `needs matrices but was given ${text(shape)}`);
  return transposed ? [columns, rows] : [rows, columns];
}
