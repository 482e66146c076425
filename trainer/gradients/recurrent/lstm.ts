import type { NodeGradient } from '../nodeGradient.js';
import { layerGradients, productGradients, type DirectionGradients } from './layer.js';
import { scan } from './scan.js';
import { endOf, firstState, isReverse, ofDirection, shifted, stepsOf, type Sizes } from './sizes.js';

/**
 * What the forward pass keeps of a direction, as further outputs of the node, [steps, hidden, batch] each: i, o, f, n, c'
 * and tanh(c'). writeLstm makes them.
 */
export function keptOutputs(direction: number): number[] {
  return [0, 1, 2, 3, 4, 5].map((at) => 3 + 6 * direction + at);
}

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997): c' = f c + i n, h' = o tanh(c'). Between the steps everything
 * lies transposed, [values, batch]: then the product of a step is that of a large matrix R with a small one, and onnxruntime
 * packs the small one (it packs the right factor anew in every call).
 */
export function lstm(g: NodeGradient): (string | undefined)[] {
  return layerGradients(g, 4, (sizes, at) => direction(g, sizes, at));
}

function direction(g: NodeGradient, sizes: Sizes, at: number): DirectionGradients {
  const { steps, batch, hidden } = sizes;
  const reverse = isReverse(g, at);
  const column = [hidden, batch];
  const kept = keptOutputs(at).map((output) => g.output(output));
  const [i = '', o = '', f = '', n = '', cells = '', t = ''] = kept;

  // What each gate's sum has to do with dh and dc, for all steps at once.
  const c0 = g.reshape(firstState(g, sizes, 6, at), [1, ...column]);
  const previous = shifted(g, c0, cells, steps, reverse);
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
      initial: [endOf(g, sizes, 1, at), endOf(g, sizes, 2, at)],
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
  return {
    ...productGradients(g, sizes, at, { input: sums, state: sums }),
    h0: () => g.transpose(back.states[0] ?? '', [1, 0]),
    c0: () => g.transpose(back.states[1] ?? '', [1, 0]),
  };
}
