import type { NodeGradient } from '../nodeGradient.js';
import { layerGradients, productGradients, type DirectionGradients } from './layer.js';
import { scan } from './scan.js';
import { endOf, isReverse, ofDirection, stepsOf, type Sizes } from './sizes.js';

/**
 * h' = f(W x + R h + b) of Elman 1990, f tanh or Relu: f' follows from h' alone, so that nothing need be kept or computed
 * again, and the forward pass is onnxruntime's own kernel.
 * @param activations of the directions, tanh where none is told
 */
export function rnn(g: NodeGradient, activations: readonly string[]): (string | undefined)[] {
  return layerGradients(g, 1, (sizes, at) => direction(g, sizes, at, activations[at] ?? 'Tanh'));
}

function direction(g: NodeGradient, sizes: Sizes, at: number, activation: string): DirectionGradients {
  const { batch, hidden } = sizes;
  const columns = (value: string) => g.transpose(stepsOf(g, sizes, value, at), [0, 2, 1]);
  const y = columns(g.output(0));
  const slope = activation === 'Relu' ? g.mask('Greater', y, 0) : g.sub(1, g.square(y));
  const dy = g.dyOf(0);
  const turned = g.transpose(ofDirection(g, sizes, g.input(2), at, [hidden, hidden]), [1, 0]);
  const back = scan(
    g,
    {
      initial: [endOf(g, sizes, 1, at)],
      state: [hidden, batch],
      inputs: [slope, ...(dy === undefined ? [] : [columns(dy)])],
      reverse: !isReverse(g, at),
    },
    (b, [dh = ''], [steep = '', given]) => {
      const all = given === undefined ? dh : b.emit('Add', [dh, given]);
      const sums = b.mul(all, steep);
      return { states: [b.emit('MatMul', [turned, sums])], outputs: [sums] };
    },
  );
  const sums = back.outputs[0] ?? '';
  return {
    ...productGradients(g, sizes, at, { input: sums, state: sums }),
    h0: () => g.transpose(back.states[0] ?? '', [1, 0]),
  };
}
