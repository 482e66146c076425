import type { GraphBuilder } from '../../onnx/builder.js';
import type { NodeProto } from '../../onnx/onnx.gen.js';
import type { KnownValues } from '../../shapes/values.js';
import { NodeGradient } from '../nodeGradient.js';
import { slice } from './direction.js';
import { isReverse, keptOutputs, lstmSizes, ofDirection, type LstmSizes } from './lstm.js';
import { scan } from './scan.js';

/**
 * Writes out, in place, the LSTMs whose gradient asked for what their gates were: onnxruntime's own operator keeps only h
 * and c, and computing the gates again would cost as much as the forward pass.
 */
export function writeLstms(builder: GraphBuilder, known: KnownValues, opset: number): void {
  const nodes = builder.nodes.splice(0);
  for (const node of nodes) {
    if (node.opType !== 'LSTM' || node.output.length <= 3) builder.nodes.push(node);
    else appendLstm(builder, node, known, opset);
  }
}

function appendLstm(builder: GraphBuilder, node: NodeProto, known: KnownValues, opset: number): void {
  const g = new NodeGradient(builder, node, [], known, new Set(), opset);
  const sizes = lstmSizes(g);
  const { batch, hidden, directions } = sizes;
  const columns = g.transpose(g.input(0), [0, 2, 1]);
  const ends = Array.from({ length: directions }, (_, at) => appendDirection(g, sizes, columns, at));
  const join = (output: number, values: readonly string[], axis: number) => {
    const name = node.output[output];
    if (name)
      builder.node(
        values.length === 1 ? 'Identity' : 'Concat',
        values,
        values.length === 1 ? {} : { axis },
        name,
      );
  };
  const rows = (value: string) => g.reshape(g.transpose(value, [1, 0]), [1, batch, hidden]);
  const steps = (value: string) => g.reshape(g.transpose(value, [0, 2, 1]), [sizes.steps, 1, batch, hidden]);
  join(
    0,
    ends.map(({ hs }) => steps(hs)),
    1,
  );
  join(
    1,
    ends.map(({ h }) => rows(h)),
    0,
  );
  join(
    2,
    ends.map(({ c }) => rows(c)),
    0,
  );
}

/** The steps of a direction; `columns` is x as [steps, width, batch]. Both products of a step are one: [W R] times x over h. */
function appendDirection(
  g: NodeGradient,
  sizes: LstmSizes,
  columns: string,
  at: number,
): { hs: string; h: string; c: string } {
  const { batch, width, hidden } = sizes;
  const column = [hidden, batch];
  const w = ofDirection(g, sizes, g.input(1), at, [4 * hidden, width]);
  const r = ofDirection(g, sizes, g.input(2), at, [4 * hidden, hidden]);
  const both = g.emit('Concat', [w, r], { axis: 1 });
  const shift = g.input(3) ? [bias(g, sizes, at)] : [];
  const initial = [5, 6].map((input) =>
    g.input(input)
      ? g.transpose(ofDirection(g, sizes, g.input(input), at, [batch, hidden]), [1, 0])
      : g.zeros(column),
  );
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
function bias(g: NodeGradient, sizes: LstmSizes, at: number): string {
  const half = 4 * sizes.hidden;
  const both = ofDirection(g, sizes, g.input(3), at, [2 * half]);
  return g.reshape(g.add(slice(g, both, 0, 0, half), slice(g, both, 0, half, 2 * half)), [half, 1]);
}

function cut(b: NodeGradient, value: string, sizes: readonly number[]): string[] {
  const parts = sizes.map(() => b.builder.names.fresh('part'));
  b.builder.add('Split', [value, b.ints(sizes)], parts, { axis: 0 });
  return parts;
}
