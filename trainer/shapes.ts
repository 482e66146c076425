import { RoundtableError } from '#core/errors.js';
import {
  describeNode,
  intAttribute,
  intsAttribute,
  tensorAttribute,
  textAttribute,
} from './onnx/attributes.js';
import { TensorProto_DataType as DataType, type NodeProto, type TensorProto } from './onnx/onnx.gen.js';
import { elementCount, maxRank, readInts, tensorShape, type Shape } from './onnx/tensor.js';

/** What is known about the values of a graph before it runs. */
export interface KnownValues {
  readonly shapes: Map<string, Shape>;
  /** Contents of integer constants: they are shapes and axes, and decide the shapes of others. */
  readonly integers: Map<string, readonly number[]>;
}

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
): KnownValues {
  const known: KnownValues = { shapes: new Map(inputs), integers: new Map() };
  for (const constant of constants) learn(known, constant.name, constant);
  for (const node of nodes) {
    const rule = shapeRules[node.opType];
    if (!rule)
      throw new RoundtableError(
        'MODEL_UNKNOWN_OPERATOR',
        `There is no shape rule for the ${describeNode(node)}.`,
      );
    const shape = rule(new NodeShapes(node, known), known);
    if (elementCount(shape) > maxElements)
      throw unsupported(
        node,
        `would produce ${elementCount(shape)} values; at most ${maxElements} are possible`,
      );
    known.shapes.set(node.output[0] ?? '', shape);
  }
  return known;
}

/** The shapes around one node. */
class NodeShapes {
  readonly node: NodeProto;
  readonly #known: KnownValues;

  constructor(node: NodeProto, known: KnownValues) {
    this.node = node;
    this.#known = known;
  }

  has(index: number): boolean {
    return Boolean(this.node.input[index]);
  }

  /** Shape of a float input; integers take part only where an operator expects a shape. */
  input(index: number): Shape {
    const name = this.node.input[index] ?? '';
    if (this.#known.integers.has(name)) throw unsupported(this.node, `computes with the integers ${name}`);
    return this.any(index);
  }

  any(index: number): Shape {
    const shape = this.#known.shapes.get(this.node.input[index] ?? '');
    if (!shape) throw mismatch(this.node, `lacks its input ${index}`);
    return shape;
  }

  integers(index: number): readonly number[] {
    const values = this.#known.integers.get(this.node.input[index] ?? '');
    if (!values)
      throw unsupported(this.node, `takes input ${index} from a computation; it must be a constant`);
    if (values.length > maxRank) throw unsupported(this.node, `asks for more than ${maxRank} dimensions`);
    return values;
  }
}

type ShapeRule = (s: NodeShapes, known: KnownValues) => Shape;

const shapeRules: Record<string, ShapeRule> = {
  Add: (s) => broadcast(s.node, s.input(0), s.input(1)),
  Constant: (s, known) => constant(s.node, known),
  Conv: convolution,
  Flatten: (s) => {
    const shape = s.input(0);
    const axis = normalAxis(s.node, intAttribute(s.node, 'axis', 1), shape.length + 1);
    return [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))];
  },
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
  Identity: (s, known) => {
    const integers = known.integers.get(s.node.input[0] ?? '');
    if (integers) known.integers.set(s.node.output[0] ?? '', integers);
    return s.any(0);
  },
  MatMul: (s) => {
    const [a, b] = [s.input(0), s.input(1)];
    if (a.length < 2 || b.length < 2) throw unsupported(s.node, 'multiplies a vector; matrices are expected');
    const [m = 0, k = 0] = a.slice(-2);
    const [k2 = 0, n = 0] = b.slice(-2);
    if (k !== k2) throw mismatch(s.node, `multiplies ${text(a)} by ${text(b)}: ${k} columns meet ${k2} rows`);
    return [...broadcast(s.node, a.slice(0, -2), b.slice(0, -2)), m, n];
  },
  MaxPool: pooling,
  Relu: (s) => s.input(0),
  Reshape: (s) => {
    const from = s.input(0);
    const keepZero = intAttribute(s.node, 'allowzero', 0) !== 0;
    const wanted = s.integers(1).map((dim, axis) => (dim === 0 && !keepZero ? (from[axis] ?? 0) : dim));
    const open = wanted.indexOf(-1);
    const rest = elementCount(wanted.filter((dim) => dim !== -1));
    const shape = wanted.map((dim, axis) => (axis === open ? elementCount(from) / rest : dim));
    if (
      !shape.every((dim) => Number.isInteger(dim) && dim >= 0) ||
      elementCount(shape) !== elementCount(from)
    )
      throw mismatch(s.node, `cannot turn ${text(from)} into ${text(wanted)}`);
    return shape;
  },
};

/** Attributes of Conv and MaxPool with their defaults; pads are those before, then those after each axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
}

export function readWindow(node: NodeProto, kernel: readonly number[]): Window {
  const ones = kernel.map(() => 1);
  if (!['NOTSET', 'VALID'].includes(textAttribute(node, 'auto_pad', 'NOTSET')))
    throw unsupported(node, 'uses auto_pad; export explicit pads');
  const window = {
    kernel,
    strides: intsAttribute(node, 'strides') ?? ones,
    pads: intsAttribute(node, 'pads') ?? [...ones, ...ones].fill(0),
    dilations: intsAttribute(node, 'dilations') ?? ones,
  };
  const positive = [...window.kernel, ...window.strides, ...window.dilations].every((size) => size >= 1);
  const lengths = [window.strides, window.dilations].every((list) => list.length === kernel.length);
  if (!positive || !lengths || window.pads.length !== 2 * kernel.length || window.pads.some((pad) => pad < 0))
    throw mismatch(node, `has strides, pads or dilations that do not fit its kernel ${text(kernel)}`);
  return window;
}

function slide(node: NodeProto, spatial: Shape, window: Window): Shape {
  return spatial.map((size, axis) => {
    const [kernel = 1, stride = 1, dilation = 1] = [
      window.kernel[axis],
      window.strides[axis],
      window.dilations[axis],
    ];
    const padded = size + (window.pads[axis] ?? 0) + (window.pads[axis + spatial.length] ?? 0);
    const reach = dilation * (kernel - 1) + 1;
    if (reach > padded)
      throw mismatch(
        node,
        `slides a window of ${text(window.kernel)} over an image of only ${text(spatial)}`,
      );
    return Math.floor((padded - reach) / stride) + 1;
  });
}

function convolution(s: NodeShapes): Shape {
  const [x, w] = [s.input(0), s.input(1)];
  const group = intAttribute(s.node, 'group', 1);
  const [batch = 0, channels = 0, ...spatial] = x;
  const [filters = 0, depth = 0, ...kernel] = w;
  if (x.length < 3 || x.length !== w.length || channels !== depth * group || filters % group !== 0)
    throw mismatch(s.node, `applies filters of ${text(w)} in ${group} group(s) to an input of ${text(x)}`);
  if (s.has(2) && text(s.input(2)) !== text([filters]))
    throw mismatch(s.node, `adds a bias of ${text(s.input(2))} to ${filters} filters`);
  const declared = intsAttribute(s.node, 'kernel_shape');
  if (declared && text(declared) !== text(kernel))
    throw mismatch(s.node, `declares a kernel of ${text(declared)} but its filters are ${text(w)}`);
  return [batch, filters, ...slide(s.node, spatial, readWindow(s.node, kernel))];
}

function pooling(s: NodeShapes): Shape {
  const [batch = 0, channels = 0, ...spatial] = s.input(0);
  const window = readWindow(s.node, intsAttribute(s.node, 'kernel_shape') ?? []);
  if (window.kernel.length !== spatial.length || spatial.length === 0)
    throw mismatch(s.node, `slides a window of ${text(window.kernel)} over ${text(s.input(0))}`);
  const apart = window.strides.every((stride, axis) => stride === window.kernel[axis]);
  if (!apart || window.pads.some((pad) => pad > 0) || window.dilations.some((dilation) => dilation > 1))
    throw unsupported(s.node, 'has overlapping, padded or dilated windows; strides must equal the kernel');
  if (
    intAttribute(s.node, 'ceil_mode', 0) !== 0 &&
    spatial.some((size, axis) => size % (window.kernel[axis] ?? 1) !== 0)
  )
    throw unsupported(s.node, 'has ceil_mode with windows that reach over the edge');
  return [batch, channels, ...slide(s.node, spatial, window)];
}

function constant(node: NodeProto, known: KnownValues): Shape {
  const name = node.output[0] ?? '';
  const tensor = tensorAttribute(node, 'value');
  if (tensor) return learn(known, name, tensor);
  const list = intsAttribute(node, 'value_ints');
  const single = node.attribute.some((candidate) => candidate.name === 'value_int');
  if (!list && !single) {
    if (node.attribute.some((candidate) => candidate.name === 'value_float')) return [];
    throw unsupported(node, 'has its value in a form other than a tensor, a float or integers');
  }
  known.integers.set(name, list ?? [intAttribute(node, 'value_int', 0)]);
  return list ? [list.length] : [];
}

function learn(known: KnownValues, name: string, tensor: TensorProto): Shape {
  const shape = tensorShape(tensor);
  known.shapes.set(name, shape);
  if (tensor.dataType === DataType.INT64 || tensor.dataType === DataType.INT32)
    known.integers.set(name, readInts(tensor));
  return shape;
}

/** Multidirectional broadcasting: dimensions meet from the right, a 1 stretches. */
function broadcast(node: NodeProto, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (left !== right && left !== 1 && right !== 1)
      throw mismatch(node, `combines ${text(a)} with ${text(b)}`);
    return left === 1 ? right : left;
  });
}

function matrix(node: NodeProto, shape: Shape, transposed: boolean): [number, number] {
  const [rows, columns, ...more] = shape;
  if (rows === undefined || columns === undefined || more.length > 0)
    throw mismatch(node, `needs matrices but was given ${text(shape)}`);
  return transposed ? [columns, rows] : [rows, columns];
}

function normalAxis(node: NodeProto, axis: number, count: number): number {
  const normal = axis < 0 ? axis + count - 1 : axis;
  if (normal < 0 || normal >= count) throw mismatch(node, `has the axis ${axis}, which does not exist`);
  return normal;
}

function text(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

function mismatch(node: NodeProto, what: string): RoundtableError {
  return new RoundtableError(
    'MODEL_SHAPE_MISMATCH',
    `The ${describeNode(node)} ${what}. Check the shapes the model was exported with; its first dimension must be a free batch size.`,
    { details: { operator: node.opType, node: node.name } },
  );
}

function unsupported(node: NodeProto, what: string): RoundtableError {
  return new RoundtableError(
    'MODEL_UNSUPPORTED',
    `The ${describeNode(node)} ${what}. This cannot be trained yet.`,
    {
      details: { operator: node.opType, node: node.name },
    },
  );
}
