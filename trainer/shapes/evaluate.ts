import { intAttribute, intsAttribute, tensorAttribute } from '../onnx/attributes.js';
import { TensorProto_DataType as DataType } from '../onnx/onnx.gen.js';
import { elementCount, readNumbers, type Shape } from '../onnx/tensor.js';
import { maxContents, normalAxis, type NodeShapes } from './values.js';

/**
 * The contents of a node's outputs, where they follow from shapes and constants alone: exporters compute shapes, axes
 * and scale factors with ordinary operators. Undefined where they depend on the data, or would be long.
 */
export function evaluate(s: NodeShapes, outputs: readonly Shape[]): (readonly number[])[] | undefined {
  const rule = rules[s.node.opType];
  if (!rule || outputs.some((shape) => elementCount(shape) > maxContents)) return undefined;
  // The second input of CastLike tells a type alone.
  const count = s.node.opType === 'CastLike' ? 1 : s.node.input.length;
  const inputs = s.node.input.slice(0, count).map((name, index) => (name === '' ? [] : s.contents(index)));
  if (!shapeOnly.has(s.node.opType) && inputs.some((values) => values === undefined)) return undefined;
  const results = rule(s, inputs as number[][], outputs);
  const type = s.known.types.get(s.node.output[0] ?? '') ?? DataType.FLOAT;
  const round = type === DataType.FLOAT ? Math.fround : type === DataType.BOOL ? Number : Math.trunc;
  return results?.map((values) => values.map(round));
}

type Evaluation = (
  s: NodeShapes,
  inputs: readonly (readonly number[])[],
  outputs: readonly Shape[],
) => (readonly number[])[] | undefined;

const shapeOnly = new Set(['Shape', 'Size']);

const unary =
  (f: (x: number) => number): Evaluation =>
  (_, [x = []]) => [x.map(f)];

const binary =
  (f: (a: number, b: number) => number): Evaluation =>
  (s, inputs, [out = []]) => {
    const stretched = inputs.map((values, index) => stretch(values, s.input(index), out));
    return [
      Array.from({ length: elementCount(out) }, (_, i) =>
        stretched.slice(1).reduce((sum, values) => f(sum, values[i] ?? 0), stretched[0]?.[i] ?? 0),
      ),
    ];
  };

/** The contents stay in order; only the shape changes. */
const same: Evaluation = (_, [x = []]) => [x];

const rules: Record<string, Evaluation> = {
  Shape: (s) => {
    const shape = s.input(0);
    const clamp = (at: number) => Math.max(0, Math.min(shape.length, at < 0 ? at + shape.length : at));
    return [
      shape.slice(clamp(intAttribute(s.node, 'start', 0)), clamp(intAttribute(s.node, 'end', shape.length))),
    ];
  },
  Size: (s) => [[elementCount(s.input(0))]],
  Identity: same,
  Cast: same,
  CastLike: same,
  Reshape: same,
  Flatten: same,
  Squeeze: same,
  Unsqueeze: same,
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sign: unary(Math.sign),
  Not: unary((x) => Number(!x)),
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Pow: binary((a, b) => a ** b),
  Max: binary(Math.max),
  Min: binary(Math.min),
  Mod: (s, inputs, outputs) =>
    binary((a, b) => (intAttribute(s.node, 'fmod', 0) !== 0 ? a % b : a - b * Math.floor(a / b)))(
      s,
      inputs,
      outputs,
    ),
  Equal: binary((a, b) => Number(a === b)),
  Greater: binary((a, b) => Number(a > b)),
  GreaterOrEqual: binary((a, b) => Number(a >= b)),
  Less: binary((a, b) => Number(a < b)),
  LessOrEqual: binary((a, b) => Number(a <= b)),
  And: binary((a, b) => Number(a !== 0 && b !== 0)),
  Or: binary((a, b) => Number(a !== 0 || b !== 0)),
  Where: (s, inputs, [out = []]) => {
    const [condition = [], yes = [], no = []] = inputs.map((values, index) =>
      stretch(values, s.input(index), out),
    );
    return [condition.map((flag, i) => (flag ? (yes[i] ?? 0) : (no[i] ?? 0)))];
  },
  Expand: (s, [x = []], [out = []]) => [stretch(x, s.input(0), out)],
  ConstantOfShape: (s, _, [out = []]) => {
    const value = tensorAttribute(s.node, 'value');
    return [Array<number>(elementCount(out)).fill(value ? (readNumbers(value)[0] ?? 0) : 0)];
  },
  Range: (_, [start = [], , delta = []], [out = []]) => [
    Array.from({ length: out[0] ?? 0 }, (_, i) => (start[0] ?? 0) + i * (delta[0] ?? 1)),
  ],
  Concat: (s, inputs) => (s.input(0).length === 1 ? [inputs.flat()] : undefined),
  Gather: (s, [x = [], indices = []], [out = []]) => {
    const shape = s.input(0);
    const axis = s.axis('axis', 0, shape.length);
    const inner = elementCount(shape.slice(axis + 1));
    const size = shape[axis] ?? 1;
    return [
      Array.from({ length: elementCount(out) }, (_, i) => {
        const [outer, rest] = [Math.floor(i / (inner * indices.length)), i % (inner * indices.length)];
        const index = indices[Math.floor(rest / inner)] ?? 0;
        return x[(outer * size + (index < 0 ? index + size : index)) * inner + (rest % inner)] ?? 0;
      }),
    ];
  },
  Slice: (s, [x = [], starts = [], ends = [], axes, steps = []]) => {
    const shape = s.input(0);
    const places = shape.map((size) => [...Array(size).keys()]);
    starts.forEach((from, i) => {
      const axis = normalAxis(s.node, axes?.[i] ?? i, shape.length);
      places[axis] = indicesOfSlice(shape[axis] ?? 0, from, ends[i] ?? 0, steps[i] ?? 1);
    });
    // Row by row: the places of an axis are added to those of the axes before it.
    const taken = places.reduce<number[]>(
      (outer, indices, axis) =>
        outer.flatMap((at) => indices.map((index) => at * (shape[axis] ?? 1) + index)),
      [0],
    );
    return [taken.map((at) => x[at] ?? 0)];
  },
  Split: (s, [x = []], outputs) => {
    if (s.input(0).length !== 1) return undefined;
    let from = 0;
    return outputs.map(([size = 0]) => x.slice(from, (from += size)));
  },
  Transpose: (s, [x = []]) => {
    const shape = s.input(0);
    const perm = intsAttribute(s.node, 'perm') ?? [...shape.keys()].toReversed();
    const out = perm.map((axis) => shape[axis] ?? 1);
    const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
    return [
      x.map((_, i) => {
        let [rest, at] = [i, 0];
        for (let axis = out.length - 1; axis >= 0; axis--) {
          const size = out[axis] ?? 1;
          at += (rest % size) * (strides[perm[axis] ?? 0] ?? 0);
          rest = Math.floor(rest / size);
        }
        return x[at] ?? 0;
      }),
    ];
  },
  ReduceProd: reduction((values) => values.reduce((a, b) => a * b, 1)),
  ReduceSum: reduction((values) => values.reduce((a, b) => a + b, 0)),
  ReduceMax: reduction((values) => Math.max(...values)),
  ReduceMin: reduction((values) => Math.min(...values)),
};

function reduction(f: (values: readonly number[]) => number): Evaluation {
  return (s, [x = []]) => {
    if (s.input(0).length !== 1) return undefined;
    s.axes(1, 1)?.forEach((axis) => normalAxis(s.node, axis, 1));
    return [[f(x)]];
  };
}

/** The positions that ONNX's Slice takes from an axis of `size`. */
export function indicesOfSlice(size: number, from: number, to: number, step: number): number[] {
  const clamp = (at: number, low: number, high: number) =>
    Math.max(low, Math.min(high, at < 0 ? at + size : at));
  const [first, last] =
    step > 0
      ? [clamp(from, 0, size), clamp(to, 0, size)]
      : [clamp(from, 0, size - 1), clamp(to, -1, size - 1)];
  const count = Math.max(0, Math.ceil((last - first) / step));
  return Array.from({ length: count }, (_, i) => first + i * step);
}

/** Repeats values as broadcasting does. */
function stretch(values: readonly number[], from: Shape, to: Shape): readonly number[] {
  if (values.length === elementCount(to)) return values;
  const lead = to.length - from.length;
  const strides = from.map((dim, axis) => (dim === 1 ? 0 : elementCount(from.slice(axis + 1))));
  return Array.from({ length: elementCount(to) }, (_, i) => {
    let [rest, at] = [i, 0];
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] ?? 1;
      at += axis >= lead ? (rest % size) * (strides[axis - lead] ?? 0) : 0;
      rest = Math.floor(rest / size);
    }
    return values[at] ?? 0;
  });
}
