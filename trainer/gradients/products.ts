import { floatAttribute, intAttribute } from '../onnx/attributes.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { readEinsum } from '../shapes.js';
import { unsupported } from '../shapes/values.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';

/** Derivatives of matrix products. */
export const productGradients: Record<string, GradientRule> = {
  Einsum: (g) => {
    const { inputs, output } = readEinsum(g.node);
    return inputs.map((letters, index) => g.when(index, () => einsum(g, inputs, output, letters, index)));
  },
  Gemm: gemm,
  MatMul: matMul,
};

/** The gradient takes the place of one factor, and that factor that of the result. */
function einsum(
  g: NodeGradient,
  inputs: readonly string[],
  output: string,
  letters: string,
  index: number,
): string {
  const others = inputs.filter((_, other) => other !== index);
  const known = new Set(output + others.join(''));
  if ([...letters].some((letter) => !known.has(letter)))
    throw unsupported(g.node, 'sums a factor over an axis that nothing else has');
  const factors = g.node.input.filter((_, other) => other !== index);
  return g.emit('Einsum', [g.dy, ...factors], { equation: `${[output, ...others].join(',')}->${letters}` });
}

/** Y = alpha A' B' + beta C (ONNX Gemm-13). */
function gemm(g: NodeGradient): (string | undefined)[] {
  const transA = intAttribute(g.node, 'transA', 0) !== 0;
  const transB = intAttribute(g.node, 'transB', 0) !== 0;
  const alpha = floatAttribute(g.node, 'alpha', 1);
  const beta = floatAttribute(g.node, 'beta', 1);
  const [a, b] = [g.input(0), g.input(1)];
  return [
    g.when(0, () => (transA ? g.gemm(b, transB, g.dy, true, alpha) : g.gemm(g.dy, false, b, !transB, alpha))),
    g.when(1, () => (transB ? g.gemm(g.dy, true, a, transA, alpha) : g.gemm(a, !transA, g.dy, false, alpha))),
    g.when(2, () => {
      const sum = g.sumTo(g.dy, g.outputShape(0), g.inputShape(2));
      return beta === 1 ? sum : g.emit('Mul', [sum, g.scalar(beta)]);
    }),
  ];
}

/** Y = A B over the last two axes. A linear layer on sequences ([.., K] times [K, N]) is one matrix product. */
function matMul(g: NodeGradient): (string | undefined)[] {
  const [a, b] = [g.inputShape(0), g.inputShape(1)];
  if (b.length === 2) {
    const rows = (value: string, shape: Shape) =>
      shape.length === 2 ? value : g.reshape(value, [elementCount(shape.slice(0, -1)), shape.at(-1) ?? 0]);
    const dy = rows(g.dy, g.outputShape(0));
    const back = (value: string) => (a.length === 2 ? value : g.reshape(value, a));
    return [
      g.when(0, () => back(g.gemm(dy, false, g.input(1), true))),
      g.when(1, () => g.gemm(rows(g.input(0), a), true, dy, false)),
    ];
  }
  const transposed = (value: string, rank: number) =>
    g.emit('Transpose', [value], { perm: [...Array(rank - 2).keys(), rank - 1, rank - 2] });
  const batch = g.outputShape(0).slice(0, -2);
  return [
    g.when(0, () =>
      g.sumTo(g.emit('MatMul', [g.dy, transposed(g.input(1), b.length)]), [...batch, ...a.slice(-2)], a),
    ),
    g.when(1, () =>
      g.sumTo(g.emit('MatMul', [transposed(g.input(0), a.length), g.dy]), [...batch, ...b.slice(-2)], b),
    ),
  ];
}
