import { intAttribute, textAttribute } from '../onnx/attributes.js';
import type { Shape } from '../onnx/tensor.js';
import { permutation, readPads, readSlice } from '../shapes/layout.js';
import { unsupported } from '../shapes/values.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';
import { interpolation } from './resize.js';

const reshaped: GradientRule = (g) => [g.reshape(g.dy, g.inputShape(0))];

/** Derivatives of operators that move values: the gradient moves the other way, and adds up where a value was copied. */
export const layoutGradients: Record<string, GradientRule> = {
  Concat: (g) => {
    const axis = g.shapes.axis('axis', 0, g.outputShape(0).length);
    const sizes = g.node.input.map((_, input) => g.inputShape(input)[axis] ?? 0);
    if (sizes.length === 1) return [g.dy];
    const parts = sizes.map(() => g.builder.names.fresh('Split_out'));
    g.builder.add('Split', [g.dy, g.ints(sizes)], parts, { axis });
    return parts;
  },
  DepthToSpace: (g) => {
    const block = intAttribute(g.node, 'blocksize', 1);
    if (textAttribute(g.node, 'mode', 'DCR') === 'DCR')
      return [g.emit('SpaceToDepth', [g.dy], { blocksize: block })];
    const [n = 1, c = 1, h = 1, w = 1] = g.inputShape(0);
    const split = g.reshape(g.dy, [n, c / block ** 2, h, block, w, block]);
    return [g.reshape(g.transpose(split, [0, 1, 3, 5, 2, 4]), [n, c, h, w])];
  },
  Expand: (g) => [g.sumTo(g.dy, g.outputShape(0), g.inputShape(0))],
  Flatten: reshaped,
  Gather: (g) => [gather(g)],
  GatherElements: (g) => [
    g.emit('ScatterElements', [g.zeros(g.inputShape(0)), g.input(1), g.dy], {
      axis: intAttribute(g.node, 'axis', 0),
      reduction: 'add',
    }),
  ],
  GatherND: (g) => [g.emit('ScatterND', [g.zeros(g.inputShape(0)), g.input(1), g.dy], { reduction: 'add' })],
  Pad: (g) => [pad(g)],
  Reshape: reshaped,
  Resize: (g) => [resize(g)],
  ScatterElements: (g) => {
    const axis = intAttribute(g.node, 'axis', 0);
    const cleared = () => g.emit('ScatterElements', [g.dy, g.input(1), g.zeros(g.inputShape(2))], { axis });
    return [
      g.when(0, () => (adds(g) ? g.dy : cleared())),
      undefined,
      g.when(2, () => g.emit('GatherElements', [g.dy, g.input(1)], { axis })),
    ];
  },
  ScatterND: (g) => [
    g.when(0, () => (adds(g) ? g.dy : g.emit('ScatterND', [g.dy, g.input(1), g.zeros(g.inputShape(2))]))),
    undefined,
    g.when(2, () => g.emit('GatherND', [g.dy, g.input(1)])),
  ],
  Slice: (g) => [slice(g)],
  SpaceToDepth: (g) => [g.emit('DepthToSpace', [g.dy], { blocksize: intAttribute(g.node, 'blocksize', 1) })],
  Split: (g) => {
    const parts = g.node.output.map((_, output) => g.dyOf(output) ?? g.zeros(g.outputShape(output)));
    return [g.emit('Concat', parts, { axis: intAttribute(g.node, 'axis', 0) })];
  },
  Squeeze: reshaped,
  Tile: (g) => {
    const shape = g.inputShape(0);
    const repeats = g.shapes.integers(1);
    const split = shape.flatMap((dim, axis) => [repeats[axis] ?? 1, dim]);
    return [
      g.sum(
        g.reshape(g.dy, split),
        shape.map((_, axis) => 2 * axis),
        false,
      ),
    ];
  },
  TopK: (g) => [
    g.emit('ScatterElements', [g.zeros(g.inputShape(0)), g.output(1), g.dy], {
      axis: intAttribute(g.node, 'axis', -1),
    }),
    undefined,
  ],
  Transpose: (g) => {
    const perm = permutation(g.shapes, g.inputShape(0).length);
    return [
      g.transpose(
        g.dy,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
  Trilu: (g) => {
    const inputs = g.input(1) ? [g.dy, g.input(1)] : [g.dy];
    return [g.emit('Trilu', inputs, { upper: intAttribute(g.node, 'upper', 1) })];
  },
  Unsqueeze: reshaped,
};

/** Whether updates are added; other reductions than that and replacing are refused. */
function adds(g: NodeGradient): boolean {
  const reduction = textAttribute(g.node, 'reduction', 'none');
  if (reduction !== 'none' && reduction !== 'add')
    throw unsupported(g.node, `combines values by ${reduction}`);
  return reduction === 'add';
}

/** Rows that were taken several times (tokens of an embedding) add up. */
function gather(g: NodeGradient): string {
  const shape = g.inputShape(0);
  const indices = g.inputShape(1);
  const axis = g.shapes.axis('axis', 0, shape.length);
  const size = shape[axis] ?? 1;
  const known = g.shapes.contents(1);
  if (known?.length === 1) {
    // One place: a padding, which is a copy.
    const at = ((known[0] ?? 0) + size) % size;
    const kept = shape.map((dim, at) => (at === axis ? 1 : dim));
    const [before, after] = [shape.map(() => 0), shape.map(() => 0)];
    [before[axis], after[axis]] = [at, size - 1 - at];
    return g.emit('Pad', [g.reshape(g.dy, kept), g.ints([...before, ...after])]);
  }
  const lead = [...Array(axis).keys()];
  const middle = indices.map((_, i) => axis + i);
  const tail = shape.slice(axis + 1).map((_, i) => axis + indices.length + i);
  const rows = g.transpose(g.dy, [...middle, ...lead, ...tail]);
  const order = [axis, ...lead, ...shape.slice(axis + 1).map((_, i) => axis + 1 + i)];
  const moved = order.map((at) => shape[at] ?? 1);
  const raw = g.emit('Cast', [g.input(1)], { to: 7 });
  const wrapped = g.emit('Where', [
    g.emit('Less', [raw, g.builder.ints([], [0])]),
    g.emit('Add', [raw, g.builder.ints([], [size])]),
    raw,
  ]);
  const sum = g.emit('ScatterND', [g.zeros(moved), g.reshape(wrapped, [...indices, 1]), rows], {
    reduction: 'add',
  });
  return g.transpose(
    sum,
    order.map((_, at) => order.indexOf(at)),
  );
}

/** What was left out gets zeros: in front, behind, and between where a step was longer than 1. */
function slice(g: NodeGradient): string {
  const shape = [...g.outputShape(0)];
  const full = g.inputShape(0);
  let value = g.dy;
  const [before, after] = [shape.map(() => 0), shape.map(() => 0)];
  for (const { axis, indices, step } of readSlice(g.shapes)) {
    const count = indices.length;
    if (count === 0) return g.zeros(full);
    if (step < 0)
      value = g.emit('Slice', [value, g.ints([-1]), g.ints([-(2 ** 52)]), g.ints([axis]), g.ints([-1])]);
    const gap = Math.abs(step);
    const first = Math.min(indices[0] ?? 0, indices.at(-1) ?? 0);
    let length = count;
    if (gap > 1 && count > 1) {
      const open: Shape = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
      const end = open.map((_, at) => (at === axis + 1 ? gap - 1 : 0));
      value = g.emit('Pad', [g.reshape(value, open), g.ints([...open.map(() => 0), ...end])]);
      shape[axis] = length = count * gap;
      value = g.reshape(value, shape);
    }
    // A negative pad cuts off the gap behind the last value where it reaches over the edge.
    before[axis] = first;
    after[axis] = (full[axis] ?? 0) - first - length;
    shape[axis] = full[axis] ?? 0;
    if (gap > 1 || step < 0) {
      const [low, high] = [shape.map(() => 0), shape.map(() => 0)];
      [low[axis], high[axis]] = [before[axis] ?? 0, after[axis] ?? 0];
      [before[axis], after[axis]] = [0, 0];
      value = g.emit('Pad', [value, g.ints([...low, ...high])]);
    }
  }
  return [...before, ...after].every((pad) => pad === 0)
    ? value
    : g.emit('Pad', [value, g.ints([...before, ...after])]);
}

function pad(g: NodeGradient): string {
  const { before, after } = readPads(g.shapes);
  const mode = textAttribute(g.node, 'mode', 'constant');
  if (mode === 'constant')
    return g.emit('Pad', [g.dy, g.ints([...before, ...after].map((pad) => -pad || 0))]);
  // Reflected, repeated or wrapped edges: each axis is a product with a matrix that says which value went where.
  return alongAxes(g, (axis, from, to) => {
    const rows = Array.from({ length: to }, (_, i) => {
      const at = i - (before[axis] ?? 0);
      if (mode === 'edge') return Math.max(0, Math.min(from - 1, at));
      if (mode === 'wrap') return ((at % from) + from) % from;
      const period = Math.max(1, 2 * (from - 1));
      const folded = ((at % period) + period) % period;
      return folded < from ? folded : period - folded;
    });
    return rows.flatMap((row) => Array.from({ length: from }, (_, column) => Number(column === row)));
  });
}

function resize(g: NodeGradient): string {
  return alongAxes(g, (axis, from, to) => interpolation(g, axis, from, to));
}

/** The gradient of an operator that is, along each axis it changes, a product with a matrix [to, from]. */
function alongAxes(g: NodeGradient, matrix: (axis: number, from: number, to: number) => number[]): string {
  const [input, output] = [g.inputShape(0), g.outputShape(0)];
  const rank = input.length;
  let value = g.dy;
  output.forEach((to, axis) => {
    const from = input[axis] ?? 1;
    if (from === to) return;
    const swap = [...Array(rank).keys()];
    [swap[axis], swap[rank - 1]] = [rank - 1, axis];
    const weights = g.builder.floats([to, from], matrix(axis, from, to));
    value = g.transpose(g.emit('MatMul', [g.transpose(value, swap), weights]), swap);
  });
  return value;
}
