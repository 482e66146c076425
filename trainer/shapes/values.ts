import { RoundtableError } from '#core/errors.js';
import {
  describeNode,
  intAttribute,
  intsAttribute,
  tensorAttribute,
  floatAttribute,
} from '../onnx/attributes.js';
import { TensorProto_DataType as DataType, type NodeProto, type TensorProto } from '../onnx/onnx.gen.js';
import { elementCount, maxRank, readNumbers, tensorShape, type Shape } from '../onnx/tensor.js';

/** What is known about the values of a graph before it runs. */
export interface KnownValues {
  readonly shapes: Map<string, Shape>;
  readonly types: Map<string, DataType>;
  /** Contents of small values that do not depend on the data: shapes, axes, indices, scale factors. */
  readonly contents: Map<string, readonly number[]>;
}

/** Contents are followed up to this many elements; shapes and axes are far smaller. */
export const maxContents = 4096;

/** The values around one node. */
export class NodeShapes {
  readonly node: NodeProto;
  readonly opset: number;
  readonly known: KnownValues;

  constructor(node: NodeProto, known: KnownValues, opset: number) {
    this.node = node;
    this.known = known;
    this.opset = opset;
  }

  has(index: number): boolean {
    return Boolean(this.node.input[index]);
  }

  name(index: number): string {
    return this.node.input[index] ?? '';
  }

  input(index: number): Shape {
    const shape = this.known.shapes.get(this.name(index));
    if (!shape) throw mismatch(this.node, `lacks its input ${index}`);
    return shape;
  }

  type(index: number): DataType {
    return this.known.types.get(this.name(index)) ?? DataType.FLOAT;
  }

  /** Contents of an input, if they are known. */
  contents(index: number): readonly number[] | undefined {
    return this.known.contents.get(this.name(index));
  }

  /** Contents of an input that decides a shape. */
  integers(index: number): readonly number[] {
    const values = this.contents(index);
    if (!values)
      throw unsupported(this.node, `takes input ${index} from a computation; it must be a constant`);
    if (values.length > maxRank * 2) throw unsupported(this.node, `asks for more than ${maxRank} dimensions`);
    return values;
  }

  /** Axes, counted from the front, from an attribute (old operator sets) or an input (new ones). */
  axes(rank: number, input: number): readonly number[] | undefined {
    const given = intsAttribute(this.node, 'axes') ?? (this.has(input) ? this.integers(input) : undefined);
    return given?.map((axis) => normalAxis(this.node, axis, rank));
  }

  axis(name: string, fallback: number, rank: number): number {
    return normalAxis(this.node, intAttribute(this.node, name, fallback), rank);
  }
}

/** Learns shape, type and (if small) contents of a constant. */
export function learn(known: KnownValues, name: string, tensor: TensorProto): Shape {
  const shape = tensorShape(tensor);
  known.shapes.set(name, shape);
  known.types.set(name, tensor.dataType);
  const numeric = [DataType.FLOAT, DataType.INT64, DataType.INT32, DataType.BOOL];
  if (elementCount(shape) <= maxContents && numeric.includes(tensor.dataType))
    known.contents.set(name, readNumbers(tensor));
  return shape;
}

/** A Constant node in any of its forms. */
export function learnConstant(known: KnownValues, node: NodeProto): Shape {
  const name = node.output[0] ?? '';
  const tensor = tensorAttribute(node, 'value');
  if (tensor) return learn(known, name, tensor);
  const kind = node.attribute[0]?.name;
  const set = (type: DataType, shape: Shape, values: readonly number[]) => {
    known.types.set(name, type);
    known.contents.set(name, values);
    return shape;
  };
  switch (kind) {
    case 'value_int':
      return set(DataType.INT64, [], [intAttribute(node, kind, 0)]);
    case 'value_float':
      return set(DataType.FLOAT, [], [floatAttribute(node, kind, 0)]);
    case 'value_ints': {
      const most = BigInt(Number.MAX_SAFE_INTEGER);
      const clamp = (value: bigint) => Number(value > most ? most : value < -most ? -most : value);
      const list = (node.attribute[0]?.ints ?? []).map(clamp);
      return set(DataType.INT64, [list.length], list);
    }
    case 'value_floats': {
      const list = node.attribute[0]?.floats ?? [];
      return set(DataType.FLOAT, [list.length], list);
    }
    default:
      throw unsupported(node, 'has its value in a form other than a tensor, floats or integers');
  }
}

/** Multidirectional broadcasting: dimensions meet from the right, a 1 stretches. */
export function broadcast(node: NodeProto, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (left !== right && left !== 1 && right !== 1)
      throw mismatch(node, `combines ${text(a)} with ${text(b)}`);
    return left === 1 ? right : left;
  });
}

export function normalAxis(node: NodeProto, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!(normal >= 0 && normal < rank)) throw mismatch(node, `has the axis ${axis}, which does not exist`);
  return normal;
}

export function text(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function mismatch(node: NodeProto, what: string): RoundtableError {
  return new RoundtableError(
    'MODEL_SHAPE_MISMATCH',
    `The ${describeNode(node)} ${what}. Check the shapes the model was exported with; its first dimension must be a free batch size.`,
    { details: { operator: node.opType, node: node.name } },
  );
}

export function unsupported(node: NodeProto, what: string): RoundtableError {
  return new RoundtableError(
    'MODEL_UNSUPPORTED',
    `The ${describeNode(node)} ${what}. This cannot be trained yet.`,
    { details: { operator: node.opType, node: node.name } },
  );
}
