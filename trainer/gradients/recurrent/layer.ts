import type { Shape } from '../../onnx/tensor.js';
import type { NodeGradient } from '../nodeGradient.js';
import { ofDirection, sizesOf, statesBefore, type Sizes } from './sizes.js';

/** Gradients of a direction's tensors, each made only where it is wanted; `c0` of an LSTM. */
export interface DirectionGradients {
  readonly x: () => string;
  readonly w: () => string;
  readonly r: () => string;
  readonly bias: () => string;
  readonly h0: () => string;
  readonly c0?: () => string;
}

/** Gradients of a layer's inputs from those of its directions. */
export function layerGradients(
  g: NodeGradient,
  gates: number,
  direction: (sizes: Sizes, at: number) => DirectionGradients,
): (string | undefined)[] {
  const sizes = sizesOf(g);
  const { batch, width, hidden, directions } = sizes;
  const results = Array.from({ length: directions }, (_, at) => direction(sizes, at));
  const all = (input: number, of: (result: DirectionGradients) => string, shape: Shape) =>
    g.when(input, () => {
      const parts = results.map((result) => g.reshape(of(result), [1, ...shape]));
      return parts.length === 1 ? (parts[0] ?? '') : g.emit('Concat', parts, { axis: 0 });
    });
  return [
    g.when(0, () => results.map(({ x }) => x()).reduce((a, b) => g.add(a, b))),
    all(1, ({ w }) => w(), [gates * hidden, width]),
    all(2, ({ r }) => r(), [gates * hidden, hidden]),
    all(3, ({ bias }) => bias(), [2 * gates * hidden]),
    undefined,
    all(5, ({ h0 }) => h0(), [batch, hidden]),
    all(6, ({ c0 }) => c0?.() ?? '', [batch, hidden]),
  ];
}

/**
 * What the gradients of all gates' sums, [steps, gates * hidden, batch], say about x, w, r and the biases: products over all
 * steps at once. `input` is of what x gives to the sums, `state` of what h does.
 */
export function productGradients(
  g: NodeGradient,
  sizes: Sizes,
  at: number,
  { input, state }: { input: string; state: string },
): Pick<DirectionGradients, 'x' | 'w' | 'r' | 'bias'> {
  const { steps, batch, width, hidden } = sizes;
  const rows = g.inputShape(1)[1] ?? 0;
  const flats = new Map<string, string>();
  const flat = (value: string) => {
    const known = flats.get(value) ?? asMatrix(g, sizes, value, rows);
    flats.set(value, known);
    return known;
  };
  return {
    x: () => {
      const w = ofDirection(g, sizes, g.input(1), at, [rows, width]);
      return g.transpose(g.emit('MatMul', [g.transpose(w, [1, 0]), input]), [0, 2, 1]);
    },
    w: () => g.gemm(flat(input), false, g.reshape(g.input(0), [steps * batch, width]), false),
    r: () => {
      const before = g.reshape(statesBefore(g, sizes, at), [steps * batch, hidden]);
      return g.gemm(flat(state), false, before, false);
    },
    bias: () => {
      const total = (value: string) => g.sum(flat(value), [1], false);
      const first = total(input);
      return g.emit('Concat', [first, input === state ? first : total(state)], { axis: 0 });
    },
  };
}

/** [rows, steps * batch] from [steps, rows, batch]. */
export function asMatrix(g: NodeGradient, { steps, batch }: Sizes, value: string, rows: number): string {
  return g.reshape(g.transpose(value, [1, 0, 2]), [rows, steps * batch]);
}

/**
 * Writes the forward pass of a layer whose derivative asked for what its gates were; onnxruntime's own operators keep only
 * their states.
 * @param kept which outputs of the node name what a direction's steps kept
 * @param direction the steps of a direction, over x as [steps, width, batch]: the states after the last, and what each step
 *   kept, h last
 */
export function writeLayer(
  g: NodeGradient,
  kept: (at: number) => readonly number[],
  direction: (
    sizes: Sizes,
    columns: string,
    at: number,
  ) => { states: readonly string[]; outputs: readonly string[] },
): void {
  const sizes = sizesOf(g);
  const columns = g.transpose(g.input(0), [0, 2, 1]);
  const results = Array.from({ length: sizes.directions }, (_, at) => {
    const { states, outputs } = direction(sizes, columns, at);
    kept(at).forEach((output, index) => {
      const name = g.node.output[output];
      if (name) g.builder.node('Identity', [outputs[index] ?? ''], {}, name);
    });
    return { states, hs: outputs.at(-1) ?? '' };
  });
  appendResults(g, sizes, results);
}

/** A layer's results from those of its directions: h at all steps [steps, hidden, batch], and states after the last [hidden, batch]. */
function appendResults(
  g: NodeGradient,
  { steps, batch, hidden }: Sizes,
  results: readonly { states: readonly string[]; hs: string }[],
): void {
  const join = (output: number, axis: number, values: readonly string[]) => {
    const name = g.node.output[output];
    if (!name) return;
    if (values.length === 1) g.builder.node('Identity', values, {}, name);
    else g.builder.node('Concat', values, { axis }, name);
  };
  const every = results.map(({ hs }) => g.reshape(g.transpose(hs, [0, 2, 1]), [steps, 1, batch, hidden]));
  join(0, 1, every);
  results[0]?.states.forEach((_, state) => {
    const ends = results.map(({ states }) =>
      g.reshape(g.transpose(states[state] ?? '', [1, 0]), [1, batch, hidden]),
    );
    join(state + 1, 0, ends);
  });
}
