import type { NodeGradient } from '../nodeGradient.js';
import { keptOutputs } from './lstm.js';
import { writeLayer } from './layer.js';
import { scan } from './scan.js';
import { cut, firstState, isReverse, ofDirection, slice, type Sizes } from './sizes.js';

/** The forward pass of an LSTM. */
export function writeLstm(g: NodeGradient): void {
  writeLayer(g, keptOutputs, (sizes, columns, at) => steps(g, sizes, columns, at));
}

/** The steps of a direction. Both products of a step are one: [W R] times x over h. */
function steps(g: NodeGradient, sizes: Sizes, columns: string, at: number): ReturnType<typeof scan> {
  const { batch, width, hidden } = sizes;
  const column = [hidden, batch];
  const w = ofDirection(g, sizes, g.input(1), at, [4 * hidden, width]);
  const r = ofDirection(g, sizes, g.input(2), at, [4 * hidden, hidden]);
  const both = g.emit('Concat', [w, r], { axis: 1 });
  const shift = g.input(3) ? [bias(g, sizes, at)] : [];
  const initial = [5, 6].map((input) => firstState(g, sizes, input, at));
  return scan(
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
}

/** Both biases, as a column. */
function bias(g: NodeGradient, sizes: Sizes, at: number): string {
  const half = 4 * sizes.hidden;
  const both = ofDirection(g, sizes, g.input(3), at, [2 * half]);
  return g.reshape(g.add(slice(g, both, 0, 0, half), slice(g, both, 0, half, 2 * half)), [half, 1]);
}
