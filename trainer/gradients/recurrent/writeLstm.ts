import type { NodeGradient } from '../nodeGradient.js';
import { keptOutputs } from './lstm.js';
import { appendResults } from './layer.js';
import { scan } from './scan.js';
import { cut, firstState, isReverse, ofDirection, sizesOf, slice, type Sizes } from './sizes.js';

/** The forward pass of an LSTM whose derivative asked for what its gates were; onnxruntime's own operator keeps only h and c. */
export function writeLstm(g: NodeGradient): void {
  const sizes = sizesOf(g);
  const columns = g.transpose(g.input(0), [0, 2, 1]);
  const ends = Array.from({ length: sizes.directions }, (_, at) => appendDirection(g, sizes, columns, at));
  appendResults(
    g,
    sizes,
    ends.map(({ hs }) => hs),
    [ends.map(({ h }) => h), ends.map(({ c }) => c)],
  );
}

/** The steps of a direction; `columns` is x as [steps, width, batch]. Both products of a step are one: [W R] times x over h. */
function appendDirection(
  g: NodeGradient,
  sizes: Sizes,
  columns: string,
  at: number,
): { hs: string; h: string; c: string } {
  const { batch, width, hidden } = sizes;
  const column = [hidden, batch];
  const w = ofDirection(g, sizes, g.input(1), at, [4 * hidden, width]);
  const r = ofDirection(g, sizes, g.input(2), at, [4 * hidden, hidden]);
  const both = g.emit('Concat', [w, r], { axis: 1 });
  const shift = g.input(3) ? [bias(g, sizes, at)] : [];
  const initial = [5, 6].map((input) => firstState(g, sizes, input, at));
  const { states, outputs } = scan(
    g,
    {
      initial,
      state: column,
      inputs: [columns],
      inputShapes: [[width, batch]],
      reverse: isReverse(g, at),
    },
    (b, [h = '', c = ''], [x = '']) => {
      const sums = b.emit('Gemm', [both, b.emit('Concat', [x, h], { axis: 0 }), ...shift]);
      const [three, one] = cut(b, sums, [3 * hidden, hidden]);
      const gates = b.emit('Sigmoid', [three ?? '']);
      const n = b.emit('Tanh', [one ?? '']);
      const [i = '', o = '', f = ''] = cut(b, gates, [hidden, hidden, hidden]);
      const next = b.emit('Add', [b.mul(f, c), b.mul(i, n)]);
      const t = b.emit('Tanh', [next]);
      const out = b.mul(o, t);
      return { states: [out, next], outputs: [i, o, f, n, next, t, out] };
    },
  );
  keptOutputs(at).forEach((output, index) => {
    const name = g.node.output[output];
    if (name) g.builder.node('Identity', [outputs[index] ?? ''], {}, name);
  });
  return { hs: outputs[6] ?? '', h: states[0] ?? '', c: states[1] ?? '' };
}

/** Both biases, as a column. */
function bias(g: NodeGradient, sizes: Sizes, at: number): string {
  const half = 4 * sizes.hidden;
  const both = ofDirection(g, sizes, g.input(3), at, [2 * half]);
  return g.reshape(g.add(slice(g, both, 0, 0, half), slice(g, both, 0, half, 2 * half)), [half, 1]);
}
