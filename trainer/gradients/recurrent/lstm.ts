import type { NodeGradient } from '../nodeGradient.js';
import { products, slice, split, sums, type Direction, type DirectionGradient } from './direction.js';
import { scan } from './scan.js';

/** i, o, f, c of Hochreiter and Schmidhuber 1997 as ONNX orders them: c' = f c + i g, h' = o tanh(c'). */
export function lstmDirection(g: NodeGradient, d: Direction): DirectionGradient {
  const { steps, batch, hidden } = d;
  const state = [batch, hidden];
  const [i, o, f, n] = split(g, sums(g, d), 4).map((gate, at) =>
    g.emit(at === 3 ? 'Tanh' : 'Sigmoid', [gate]),
  ) as [string, string, string, string];
  const cells = scan(g, [d.c0], [f, g.mul(i, n)], state, false, (b, [c = ''], [keep = '', fresh = '']) => {
    const next = b.emit('Add', [b.mul(c, keep), fresh]);
    return { states: [next], outputs: [next] };
  });
  const c = cells.outputs[0] ?? '';
  const first = g.reshape(d.c0, [1, batch, hidden]);
  const previous = steps === 1 ? first : g.emit('Concat', [first, slice(g, c, 0, 0, steps - 1)], { axis: 0 });
  const t = g.emit('Tanh', [c]);
  // What each gate's sum has to do with dh and dc, for all steps at once.
  const slope = (gate: string) => g.mul(gate, g.sub(1, gate));
  const intoCell = g.mul(o, g.sub(1, g.square(t)));
  const fromOutput = g.mul(t, slope(o));
  const fromCell = g.emit(
    'Concat',
    [g.mul(n, slope(i)), g.mul(previous, slope(f)), g.mul(i, g.sub(1, g.square(n)))],
    { axis: 2 },
  );
  const r = d.r;
  const inputs = [d.dy, intoCell, fromOutput, fromCell, f];
  const back = scan(
    g,
    [d.dh, d.dc],
    inputs,
    state,
    true,
    (b, [dh = '', dc = ''], values) => {
      const [dy = '', into = '', output = '', cell = '', keep = ''] = values;
      const all = b.emit('Add', [dh, dy]);
      const inner = b.emit('Add', [dc, b.mul(all, into)]);
      const three = b.mul(b.emit('Concat', [inner, inner, inner], { axis: 1 }), cell);
      const parts = [b.builder.names.fresh('di'), b.builder.names.fresh('dfg')];
      b.builder.add('Split', [three, b.ints([hidden, 2 * hidden])], parts, { axis: 1 });
      const gates = b.emit('Concat', [parts[0] ?? '', b.mul(all, output), parts[1] ?? ''], { axis: 1 });
      return { states: [b.emit('MatMul', [gates, r]), b.mul(inner, keep)], outputs: [gates] };
    },
    [[batch, 4 * hidden]],
  );
  const gates = back.outputs[0] ?? '';
  return { ...products(g, d, gates, gates), h0: back.states[0] ?? '', c0: back.states[1] ?? '' };
}
