import { intAttribute } from '../../onnx/attributes.js';
import type { NodeGradient } from '../nodeGradient.js';
import { matrix, products, slice, split, type Direction, type DirectionGradient } from './direction.js';
import { scan } from './scan.js';

/** z, r, h of Cho et al. 2014 as ONNX orders them: h' = (1 - z) n + z h. */
export function gruDirection(g: NodeGradient, d: Direction): DirectionGradient {
  const { batch, hidden } = d;
  const after = intAttribute(g.node, 'linear_before_reset', 0) !== 0;
  const [xz, xr, xn] = split(g, matrix(g, d, d.x, d.w, d.width, d.biases?.[0]), 3) as [
    string,
    string,
    string,
  ];
  const [hz, hr, hn] = split(g, matrix(g, d, d.before, d.r, hidden, d.biases?.[1]), 3) as [
    string,
    string,
    string,
  ];
  const z = g.emit('Sigmoid', [g.add(xz, hz)]);
  const reset = g.emit('Sigmoid', [g.add(xr, hr)]);
  const rn = slice(g, d.r, 0, 2 * hidden, 3 * hidden);
  const held = g.mul(reset, d.before);
  const bias = d.biases && slice(g, d.biases[1], 0, 2 * hidden, 3 * hidden);
  const inner = after ? g.mul(reset, hn) : matrix(g, d, held, rn, hidden, bias);
  const n = g.emit('Tanh', [g.add(xn, inner)]);
  const update = g.mul(g.emit('Sub', [d.before, n]), g.mul(z, g.sub(1, z)));
  const fresh = g.mul(g.sub(1, z), g.sub(1, g.square(n)));
  const slope = g.mul(after ? hn : d.before, g.mul(reset, g.sub(1, reset)));
  const rzr = slice(g, d.r, 0, 0, 2 * hidden);
  const inputs = [d.dy, z, update, fresh, slope, reset];
  const back = scan(
    g,
    {
      initial: [d.dh],
      state: [batch, hidden],
      inputs,
      outputShapes: [
        [batch, 3 * hidden],
        [batch, 3 * hidden],
      ],
      reverse: true,
    },
    (b, [dh = ''], values) => {
      const [dy = '', keep = '', dz = '', dn = '', dr = '', open = ''] = values;
      const all = b.emit('Add', [dh, dy]);
      const [az, an] = [b.mul(all, dz), b.mul(all, dn)];
      const direct = b.mul(all, keep);
      if (after) {
        const ar = b.mul(an, dr);
        const hidden = b.emit('Concat', [az, ar, b.mul(an, open)], { axis: 1 });
        const input = b.emit('Concat', [az, ar, an], { axis: 1 });
        return { states: [b.add(direct, b.emit('MatMul', [hidden, d.r]))], outputs: [input, hidden] };
      }
      const intoHeld = b.emit('MatMul', [an, rn]);
      const two = b.emit('Concat', [az, b.mul(intoHeld, dr)], { axis: 1 });
      const gates = b.emit('Concat', [two, an], { axis: 1 });
      const state = b.add(b.add(direct, b.mul(intoHeld, open)), b.emit('MatMul', [two, rzr]));
      return { states: [state], outputs: [gates, gates] };
    },
  );
  const [input = '', state = ''] = back.outputs;
  const all = products(g, d, input, state);
  if (after) return { ...all, h0: back.states[0] ?? '' };
  // Here the candidate saw r * h, not h.
  const rows = [d.steps * batch, hidden];
  const an = g.reshape(slice(g, input, 2, 2 * hidden, 3 * hidden), rows);
  const last = g.gemm(an, true, g.reshape(held, rows), false);
  const r = g.emit('Concat', [slice(g, all.r, 0, 0, 2 * hidden), last], { axis: 0 });
  return { ...all, r, h0: back.states[0] ?? '' };
}
