import type { GraphBuilder } from '#trainer/onnx/builder.js';

/** Ways in which the tanh form of GELU is written out of smaller operators; each gives the name of the result. */
export const writtenGelus: Record<string, (builder: GraphBuilder) => string> = {
  'as the newer exporter does': (b) => {
    const cubed = b.node('Pow', ['x', b.floats([], [3])]);
    const inner = b.node('Add', ['x', b.node('Mul', [b.floats([], [c]), cubed])]);
    const sum = b.node('Add', [tanh(b, b.node('Mul', [b.floats([], [k]), inner])), b.floats([], [1])]);
    return b.node('Mul', [b.floats([], [0.5]), b.node('Mul', ['x', sum])]);
  },
  'as TorchScript does': (b) => {
    const cubed = b.node('Mul', ['x', b.node('Mul', ['x', 'x'])]);
    const inner = b.node('Add', ['x', b.node('Mul', [b.floats([], [c]), cubed])]);
    const sum = b.node('Add', [b.floats([], [1]), tanh(b, b.node('Mul', [b.floats([], [k]), inner]))]);
    return b.node('Mul', [b.node('Mul', [b.floats([], [0.5]), 'x']), sum]);
  },
  'with the factor within': (b) => {
    const bent = b.node('Add', [
      b.floats([], [1]),
      b.node('Mul', [b.node('Mul', [b.floats([], [c]), 'x']), 'x']),
    ]);
    const inner = b.node('Mul', [b.node('Mul', ['x', b.floats([1], [k])]), bent]);
    const half = b.node('Add', [b.node('Mul', [tanh(b, inner), b.floats([], [0.5])]), b.floats([], [0.5])]);
    return b.node('Mul', [half, 'x']);
  },
  'with divisions': (b) => {
    const cubed = b.node('Mul', [b.node('Mul', ['x', 'x']), 'x']);
    const inner = b.node('Add', [b.node('Div', [cubed, b.floats([], [1 / c])]), 'x']);
    const sum = b.node('Add', [tanh(b, b.node('Div', [inner, b.floats([], [1 / k])])), b.floats([], [1])]);
    return b.node('Div', [b.node('Mul', ['x', sum]), b.floats([], [2])]);
  },
};

const k = Math.sqrt(2 / Math.PI);
const c = 0.044715;

function tanh(builder: GraphBuilder, value: string): string {
  return builder.node('Tanh', [value]);
}
