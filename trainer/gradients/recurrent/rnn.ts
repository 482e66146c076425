import type { NodeGradient } from '../nodeGradient.js';
import { products, type Direction, type DirectionGradient } from './direction.js';
import { scan } from './scan.js';

/** h' = f(W x + R h + b) of Elman 1990, f tanh or Relu: f' follows from h' alone, so nothing is computed again. */
export function rnnDirection(g: NodeGradient, d: Direction): DirectionGradient {
  const { batch, hidden } = d;
  const slope = d.activation === 'Relu' ? g.mask('Greater', d.y, 0) : g.sub(1, g.square(d.y));
  const back = scan(
    g,
    { initial: [d.dh], state: [batch, hidden], inputs: [d.dy, slope], reverse: true },
    (b, [dh = ''], [dy = '', steep = '']) => {
      const gate = b.mul(b.emit('Add', [dh, dy]), steep);
      return { states: [b.emit('MatMul', [gate, d.r])], outputs: [gate] };
    },
  );
  const gates = back.outputs[0] ?? '';
  return { ...products(g, d, gates, gates), h0: back.states[0] ?? '' };
}
