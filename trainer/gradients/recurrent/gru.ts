import { intAttribute } from '../../onnx/attributes.js';
import type { NodeGradient } from '../nodeGradient.js';
import { asMatrix, layerGradients, productGradients, type DirectionGradients } from './layer.js';
import { scan } from './scan.js';
import {
  endOf,
  firstState,
  isReverse,
  ofDirection,
  shifted,
  slice,
  statesBefore,
  stepsOf,
  type Sizes,
} from './sizes.js';

/**
 * What the forward pass keeps of a direction, as further outputs of the node, [steps, hidden, batch] each: z, r, n, R h
 * of the candidate, and h'. writeGru makes them.
 */
export function keptOutputs(direction: number): number[] {
  return [0, 1, 2, 3, 4].map((at) => 2 + 5 * direction + at);
}

/** Whether the candidate n sees r (R h), as in cuDNN and PyTorch, rather than R (r h). */
export function isResetAfter(g: NodeGradient): boolean {
  return intAttribute(g.node, 'linear_before_reset', 0) !== 0;
}

/**
 * Gated recurrent unit (Cho et al. 2014), gates in ONNX's order z, r, n: h' = (1 - z) n + z h. As in the LSTM everything lies
 * transposed between the steps, [values, batch].
 */
export function gru(g: NodeGradient): (string | undefined)[] {
  return layerGradients(g, 3, (sizes, at) => direction(g, sizes, at));
}

/** Gradients of the gates' sums, [steps, 3 hidden, batch]: of what x gives to them, and of what h does. */
interface Sums {
  readonly input: string;
  readonly state: string;
  /** Of the state before the first step, [hidden, batch]. */
  readonly first: string;
}

function direction(g: NodeGradient, sizes: Sizes, at: number): DirectionGradients {
  const { steps, batch, hidden } = sizes;
  const kept = keptOutputs(at).map((output) => g.output(output));
  const [z = '', r = '', n = '', , hs = ''] = kept;
  const first = g.reshape(firstState(g, sizes, 5, at), [1, hidden, batch]);
  const before = shifted(g, first, hs, steps, isReverse(g, at));
  const rest = g.sub(1, z);
  const update = g.mul(g.emit('Sub', [before, n]), g.mul(z, rest));
  const fresh = g.mul(rest, g.sub(1, g.square(n)));
  const parts = { z, r, candidate: kept[3] ?? '', before, update, fresh };
  const sums = isResetAfter(g) ? resetAfter(g, sizes, at, parts) : resetBefore(g, sizes, at, parts);
  const products = productGradients(g, sizes, at, sums);
  return {
    ...products,
    r: () => {
      if (isResetAfter(g)) return products.r();
      // Here the candidate saw r h, not h.
      const rows = [steps * batch, hidden];
      const [gates, candidate] = [
        asMatrix(g, sizes, slice(g, sums.state, 1, 0, 2 * hidden), 2 * hidden),
        asMatrix(g, sizes, slice(g, sums.state, 1, 2 * hidden, 3 * hidden), hidden),
      ];
      const held = g.reshape(g.transpose(g.mul(r, before), [0, 2, 1]), rows);
      const states = g.reshape(statesBefore(g, sizes, at), rows);
      const parts = [g.gemm(gates, false, states, false), g.gemm(candidate, false, held, false)];
      return g.emit('Concat', parts, { axis: 0 });
    },
    h0: () => g.transpose(sums.first, [1, 0]),
  };
}

/** What the forward pass kept, and what the sums of z and n have to do with dh, for all steps at once. */
interface Parts {
  readonly z: string;
  readonly r: string;
  readonly candidate: string;
  readonly before: string;
  readonly update: string;
  readonly fresh: string;
}

function resetAfter(g: NodeGradient, sizes: Sizes, at: number, parts: Parts): Sums {
  const { batch, hidden } = sizes;
  const { z, r, candidate, update, fresh } = parts;
  const held = g.mul(fresh, r);
  const reset = g.mul(g.mul(held, candidate), g.sub(1, r));
  const factors = g.emit('Concat', [update, reset, held], { axis: 1 });
  const { turned, outer, reverse } = backwards(g, sizes, at);
  const back = scan(
    g,
    {
      initial: [endOf(g, sizes, 1, at)],
      state: [hidden, batch],
      inputs: [z, factors, ...outer],
      inputShapes: [
        [hidden, batch],
        [3 * hidden, batch],
      ],
      outputShapes: [[3 * hidden, batch]],
      reverse,
    },
    (b, [dh = ''], [keep = '', factor = '', given]) => {
      const all = given === undefined ? dh : b.emit('Add', [dh, given]);
      const sums = b.mul(b.emit('Concat', [all, all, all], { axis: 0 }), factor);
      return { states: [b.add(b.mul(all, keep), b.emit('MatMul', [turned, sums]))], outputs: [sums, all] };
    },
  );
  const [state = '', all = ''] = back.outputs;
  const gates = slice(g, state, 1, 0, 2 * hidden);
  const input = g.emit('Concat', [gates, g.mul(all, fresh)], { axis: 1 });
  return { input, state, first: back.states[0] ?? '' };
}

function resetBefore(g: NodeGradient, sizes: Sizes, at: number, parts: Parts): Sums {
  const { batch, hidden } = sizes;
  const { z, r, before, update, fresh } = parts;
  const slope = g.mul(before, g.mul(r, g.sub(1, r)));
  const { turned, outer, reverse } = backwards(g, sizes, at);
  const [gates, candidate] = [
    slice(g, turned, 1, 0, 2 * hidden),
    slice(g, turned, 1, 2 * hidden, 3 * hidden),
  ];
  const back = scan(
    g,
    {
      initial: [endOf(g, sizes, 1, at)],
      state: [hidden, batch],
      inputs: [z, update, fresh, slope, r, ...outer],
      outputShapes: [[3 * hidden, batch]],
      reverse,
    },
    (b, [dh = ''], [keep = '', dz = '', dn = '', dr = '', open = '', given]) => {
      const all = given === undefined ? dh : b.emit('Add', [dh, given]);
      const last = b.mul(all, dn);
      const held = b.emit('MatMul', [candidate, last]);
      const two = b.emit('Concat', [b.mul(all, dz), b.mul(held, dr)], { axis: 0 });
      const direct = b.add(b.mul(all, keep), b.mul(held, open));
      const sums = b.emit('Concat', [two, last], { axis: 0 });
      return { states: [b.add(direct, b.emit('MatMul', [gates, two]))], outputs: [sums] };
    },
  );
  const sums = back.outputs[0] ?? '';
  return { input: sums, state: sums, first: back.states[0] ?? '' };
}

/** R' of a direction, the gradient of its h as [steps, hidden, batch] where there is one, and the way of its Scan. */
function backwards(g: NodeGradient, sizes: Sizes, at: number) {
  const { hidden } = sizes;
  const dy = g.dyOf(0);
  return {
    turned: g.transpose(ofDirection(g, sizes, g.input(2), at, [3 * hidden, hidden]), [1, 0]),
    outer: dy === undefined ? [] : [g.transpose(stepsOf(g, sizes, dy, at), [0, 2, 1])],
    reverse: !isReverse(g, at),
  };
}
