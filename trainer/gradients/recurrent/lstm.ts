import { textAttribute } from '../../onnx/attributes.js';
import type { Shape } from '../../onnx/tensor.js';
import type { NodeGradient } from '../nodeGradient.js';
import { scan } from './scan.js';
import { slice } from './direction.js';

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997): c' = f c + i n, h' = o tanh(c'). Between the steps everything
 * lies transposed, [values, batch]: then the product of a step is that of a large matrix R with a small one, and onnxruntime
 * packs the small one (it packs the right factor anew in every call).
 */
export interface LstmSizes {
  readonly steps: number;
  readonly batch: number;
  readonly width: number;
  readonly hidden: number;
  readonly directions: number;
}

export function lstmSizes(g: NodeGradient): LstmSizes {
  const [steps = 0, batch = 0, width = 0] = g.inputShape(0);
  const [directions = 1, , hidden = 0] = g.inputShape(2);
  return { steps, batch, width, hidden, directions };
}

/**
 * What the forward pass keeps of a direction, as further outputs of the node, [steps, hidden, batch] each: i, o, f, n, c'
 * and tanh(c'). writeLstm makes them.
 */
export function keptOutputs(direction: number): number[] {
  return [0, 1, 2, 3, 4, 5].map((at) => 3 + 6 * direction + at);
}

/** The part of a direction in a value that has one for each. */
export function ofDirection(
  g: NodeGradient,
  { directions }: LstmSizes,
  value: string,
  at: number,
  shape: Shape,
): string {
  return g.reshape(directions === 1 ? value : slice(g, value, 0, at, at + 1), shape);
}

export function isReverse(g: NodeGradient, at: number): boolean {
  return at === 1 || textAttribute(g.node, 'direction', 'forward') === 'reverse';
}

/** Backpropagation through time from what the forward pass kept. */
export function lstm(g: NodeGradient): (string | undefined)[] {
  const sizes = lstmSizes(g);
  const { batch, width, hidden, directions } = sizes;
  const results = Array.from({ length: directions }, (_, at) => direction(g, sizes, at));
  const joined = (values: readonly string[], shape: Shape) => {
    const parts = values.map((value) => g.reshape(value, [1, ...shape]));
    return parts.length === 1 ? (parts[0] ?? '') : g.emit('Concat', parts, { axis: 0 });
  };
  const all = (input: number, of: (result: DirectionResult) => string, shape: Shape) =>
    g.when(input, () => joined(results.map(of), shape));
  return [
    g.when(0, () => results.map(({ x }) => x()).reduce((a, b) => g.add(a, b))),
    all(1, ({ w }) => w(), [4 * hidden, width]),
    all(2, ({ r }) => r(), [4 * hidden, hidden]),
    all(3, ({ bias }) => bias(), [8 * hidden]),
    undefined,
    all(5, ({ h0 }) => h0(), [batch, hidden]),
    all(6, ({ c0 }) => c0(), [batch, hidden]),
  ];
}

/** Gradients of a direction's tensors, each made only where it is wanted. */
interface DirectionResult {
  readonly x: () => string;
  readonly w: () => string;
  readonly r: () => string;
  readonly bias: () => string;
  readonly h0: () => string;
  readonly c0: () => string;
}

function direction(g: NodeGradient, sizes: LstmSizes, at: number): DirectionResult {
  const { steps, batch, width, hidden } = sizes;
  const reverse = isReverse(g, at);
  const turned = (value: string) => g.transpose(value, [1, 0]);
  const state = (input: number) => ofDirection(g, sizes, g.input(input), at, [batch, hidden]);
  const column = [hidden, batch];
  const kept = keptOutputs(at).map((output) => g.output(output));
  const [i = '', o = '', f = '', n = '', cells = '', t = ''] = kept;
  const c0 = g.input(6) ? turned(state(6)) : g.zeros(column);
  const ending = (output: number) => {
    const gradient = g.dyOf(output);
    return gradient === undefined
      ? g.zeros(column)
      : turned(ofDirection(g, sizes, gradient, at, [batch, hidden]));
  };

  // What each gate's sum has to do with dh and dc, for all steps at once.
  const previous = shifted(g, g.reshape(c0, [1, ...column]), cells, steps, reverse);
  const slope = (gate: string) => g.emit('Sub', [gate, g.square(gate)]);
  const fresh = g.emit('Sub', [i, g.mul(i, g.square(n))]);
  const factors = g.emit(
    'Concat',
    [g.mul(n, slope(i)), g.mul(t, slope(o)), g.mul(previous, slope(f)), fresh],
    { axis: 1 },
  );
  const into = g.emit('Sub', [o, g.mul(o, g.square(t))]);
  const dy = g.dyOf(0);
  const outer = dy === undefined ? [] : [g.transpose(stepsOf(g, sizes, dy, at), [0, 2, 1])];
  const rows = g.transpose(ofDirection(g, sizes, g.input(2), at, [4 * hidden, hidden]), [1, 0]);
  const back = scan(
    g,
    {
      initial: [ending(1), ending(2)],
      state: column,
      inputs: [into, factors, f, ...outer],
      inputShapes: [column, [4 * hidden, batch]],
      outputShapes: [[4 * hidden, batch]],
      reverse: !reverse,
    },
    (b, [dh = '', dc = ''], [through = '', factor = '', keep = '', given]) => {
      const all = given === undefined ? dh : b.emit('Add', [dh, given]);
      const inner = b.emit('Add', [dc, b.mul(all, through)]);
      const sums = b.mul(b.emit('Concat', [inner, all, inner, inner], { axis: 0 }), factor);
      return { states: [b.emit('MatMul', [rows, sums]), b.mul(inner, keep)], outputs: [sums] };
    },
  );
  const sums = back.outputs[0] ?? '';
  let flat: string | undefined;
  /** [4 hidden, steps * batch] */
  const matrix = () => (flat ??= g.reshape(g.transpose(sums, [1, 0, 2]), [4 * hidden, steps * batch]));
  const w = ofDirection(g, sizes, g.input(1), at, [4 * hidden, width]);
  return {
    x: () => g.transpose(g.emit('MatMul', [g.transpose(w, [1, 0]), sums]), [0, 2, 1]),
    w: () => g.gemm(matrix(), false, g.reshape(g.input(0), [steps * batch, width]), false),
    r: () => {
      const h0 = g.input(5) ? state(5) : g.zeros([batch, hidden]);
      const y = stepsOf(g, sizes, g.output(0), at);
      const before = shifted(g, g.reshape(h0, [1, batch, hidden]), y, steps, reverse);
      return g.gemm(matrix(), false, g.reshape(before, [steps * batch, hidden]), false);
    },
    bias: () => {
      const sum = g.sum(matrix(), [1], false);
      return g.emit('Concat', [sum, sum], { axis: 0 });
    },
    h0: () => turned(back.states[0] ?? ''),
    c0: () => turned(back.states[1] ?? ''),
  };
}

/** [steps, batch, hidden] of a direction, from [steps, directions, batch, hidden]. */
function stepsOf(g: NodeGradient, sizes: LstmSizes, value: string, at: number): string {
  const { steps, batch, hidden, directions } = sizes;
  return g.reshape(directions === 1 ? value : slice(g, value, 1, at, at + 1), [steps, batch, hidden]);
}

/** What stood before each step: the first value, and those of all steps but the last one taken. */
function shifted(g: NodeGradient, first: string, values: string, steps: number, reverse: boolean): string {
  if (steps === 1) return first;
  const others = reverse ? slice(g, values, 0, 1, steps) : slice(g, values, 0, 0, steps - 1);
  return g.emit('Concat', reverse ? [others, first] : [first, others], { axis: 0 });
}
