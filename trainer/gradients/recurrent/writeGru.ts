import type { NodeGradient } from '../nodeGradient.js';
import { isResetAfter, keptOutputs } from './gru.js';
import { writeLayer } from './layer.js';
import { scan } from './scan.js';
import { cut, firstState, isReverse, ofDirection, slice, type Sizes } from './sizes.js';

/** The forward pass of a GRU. */
export function writeGru(g: NodeGradient): void {
  writeLayer(g, keptOutputs, (sizes, columns, at) => steps(g, sizes, columns, at));
}

/** The steps of a direction. What x gives to the gates is computed for all steps at once. */
function steps(g: NodeGradient, sizes: Sizes, columns: string, at: number): ReturnType<typeof scan> {
  const { batch, width, hidden } = sizes;
  const after = isResetAfter(g);
  const sizesOfGates = [2 * hidden, hidden];
  const [w, r] = [
    ofDirection(g, sizes, g.input(1), at, [3 * hidden, width]),
    ofDirection(g, sizes, g.input(2), at, [3 * hidden, hidden]),
  ];
  const product = g.emit('MatMul', [w, columns]);
  const biases = g.input(3) ? biasesOf(g, sizes, at) : undefined;
  const fromX = cut(g, biases ? g.add(product, biases[0]) : product, sizesOfGates, 1);
  const [gateRows = '', lastRows = ''] = after ? [] : cut(g, r, sizesOfGates);
  const [gateBias, lastBias] = after || !biases ? [] : cut(g, biases[1], sizesOfGates);
  return scan(
    g,
    {
      initial: [firstState(g, sizes, 5, at)],
      state: [hidden, batch],
      inputs: fromX,
      inputShapes: [[2 * hidden, batch]],
      reverse: isReverse(g, at),
    },
    (b, [h = ''], [two = '', one = '']) => {
      const gemm = (rows: string, value: string, bias: string | undefined) =>
        b.emit('Gemm', [rows, value, ...(bias === undefined ? [] : [bias])]);
      const [sums = '', open = ''] = after
        ? cut(b, gemm(r, h, biases?.[1]), sizesOfGates)
        : [gemm(gateRows, h, gateBias)];
      const gates = b.emit('Sigmoid', [b.add(two, sums)]);
      const [z = '', reset = ''] = cut(b, gates, [hidden, hidden]);
      const seen = after ? b.mul(reset, open) : gemm(lastRows, b.mul(reset, h), lastBias);
      const n = b.emit('Tanh', [b.add(one, seen)]);
      const next = b.add(n, b.mul(z, b.emit('Sub', [h, n])));
      return { states: [next], outputs: [z, reset, n, after ? open : seen, next] };
    },
  );
}

/** The bias beside W and that beside R, as columns. */
function biasesOf(g: NodeGradient, sizes: Sizes, at: number): [string, string] {
  const half = 3 * sizes.hidden;
  const both = ofDirection(g, sizes, g.input(3), at, [2 * half]);
  const column = (from: number) => g.reshape(slice(g, both, 0, from, from + half), [half, 1]);
  return [column(0), column(half)];
}
