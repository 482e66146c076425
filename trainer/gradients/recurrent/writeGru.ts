import type { NodeGradient } from '../nodeGradient.js';
import { isResetAfter, keptOutputs } from './gru.js';
import { appendResults } from './layer.js';
import { scan } from './scan.js';
import { cut, firstState, isReverse, ofDirection, sizesOf, slice, type Sizes } from './sizes.js';

/** The forward pass of a GRU whose derivative asked for what its gates were; onnxruntime's own operator keeps only h. */
export function writeGru(g: NodeGradient): void {
  const sizes = sizesOf(g);
  const columns = g.transpose(g.input(0), [0, 2, 1]);
  const ends = Array.from({ length: sizes.directions }, (_, at) => appendDirection(g, sizes, columns, at));
  appendResults(
    g,
    sizes,
    ends.map(({ hs }) => hs),
    [ends.map(({ h }) => h)],
  );
}

/** The steps of a direction; `columns` is x as [steps, width, batch]. What x gives to the gates is computed for all steps at once. */
function appendDirection(
  g: NodeGradient,
  sizes: Sizes,
  columns: string,
  at: number,
): { hs: string; h: string } {
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
  const { states, outputs } = scan(
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
  keptOutputs(at).forEach((output, index) => {
    const name = g.node.output[output];
    if (name) g.builder.node('Identity', [outputs[index] ?? ''], {}, name);
  });
  return { hs: outputs[4] ?? '', h: states[0] ?? '' };
}

/** The bias beside W and that beside R, as columns. */
function biasesOf(g: NodeGradient, sizes: Sizes, at: number): [string, string] {
  const half = 3 * sizes.hidden;
  const both = ofDirection(g, sizes, g.input(3), at, [2 * half]);
  const column = (from: number) => g.reshape(slice(g, both, 0, from, from + half), [half, 1]);
  return [column(0), column(half)];
}
