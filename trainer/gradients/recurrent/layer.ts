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

/** A layer's results from those of its directions: h at all steps [steps, hidden, batch], and states after the last [hidden, batch]. */
export function appendResults(
  g: NodeGradient,
  { steps, batch, hidden }: Sizes,
  all: readonly string[],
  ends: readonly (readonly string[])[],
): void {
  const join = (output: number, values: readonly string[], axis: number) => {
    const name = g.node.output[output];
    if (!name) return;
    if (values.length === 1) g.builder.node('Identity', values, {}, name);
    else g.builder.node('Concat', values, { axis }, name);
  };
  join(
    0,
    all.map((hs) => g.reshape(g.transpose(hs, [0, 2, 1]), [steps, 1, batch, hidden])),
    1,
  );
  ends.forEach((states, index) =>
    join(
      index + 1,
      states.map((state) => g.reshape(g.transpose(state, [1, 0]), [1, batch, hidden])),
      0,
    ),
  );
}
