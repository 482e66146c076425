import { floatAttribute, intAttribute } from '../onnx/attributes.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { readEinsum, type Equation } from '../shapes/einsum.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';

/** Derivatives of matrix products. */
export const productGradients: Record<string, GradientRule> = {
  Einsum: (g) => {
    const equation = readEinsum(g.shapes);
    return equation.inputs.map((_, index) => g.when(index, () => einsum(g, equation, index)));
  },
  Gemm: gemm,
  MatMul: matMul,
};

/** The gradient takes the place of one factor, and that factor that of the result; what was summed alone is stretched. */
function einsum(g: NodeGradient, { inputs, output }: Equation, index: number): string {
  const letters = [...(inputs[index] ?? '')];
  const others = inputs.filter((_, other) => other !== index);
  const known = new Set(output + others.join(''));
  const factors = g.node.input.filter((_, other) => other !== index);
  const left = [output, ...others].join(',');
  const kept = letters.filter((letter) => known.has(letter)).join('');
  const product = g.emit('Einsum', [g.dy, ...factors], { equation: `${left}->${kept}` });
  const shape = g.inputShape(index);
  if (kept.length === letters.length) return product;
  const thin = shape.map((dim, axis) => (known.has(letters[axis] ?? '') ? dim : 1));
  return g.emit('Expand', [g.reshape(product, thin), g.ints(shape)]);
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
  const [left, right] = [g.inputShape(0), g.inputShape(1)];
  // A vector is a matrix of one row on the left, of one column on the right.
  const a = left.length === 1 ? [1, ...left] : left;
  const b = right.length === 1 ? [...right, 1] : right;
  const as = (value: string, from: Shape, to: Shape) =>
    from.length === to.length ? value : g.reshape(value, to);
  const [first, second] = [as(g.input(0), left, a), as(g.input(1), right, b)];
  const shape = g.outputShape(0);
  const batch = shape.slice(0, shape.length - (left.length > 1 ? 1 : 0) - (right.length > 1 ? 1 : 0));
  const whole = [...batch, a.at(-2) ?? 1, b.at(-1) ?? 1];
  const dy = as(g.dy, shape, whole);
  if (b.length === 2) {
    const rows = (value: string, of: Shape) =>
      of.length === 2 ? value : g.reshape(value, [elementCount(of.slice(0, -1)), of.at(-1) ?? 0]);
    const flat = rows(dy, whole);
    return [
      g.when(0, () => {
        const gradient = g.gemm(flat, false, second, true);
        return left.length === 2 ? gradient : g.reshape(gradient, left);
      }),
      g.when(1, () => as(g.gemm(rows(first, a), true, flat, false), b, right)),
    ];
  }
  const transposed = (value: string, rank: number) =>
    g.emit('Transpose', [value], { perm: [...Array(rank - 2).keys(), rank - 1, rank - 2] });
  return [
    g.when(0, () => {
      const gradient = g.emit('MatMul', [dy, transposed(second, b.length)]);
      return as(g.sumTo(gradient, [...batch, ...a.slice(-2)], a), a, left);
    }),
    g.when(1, () => {
      const gradient = g.emit('MatMul', [transposed(first, a.length), dy]);
      return as(g.sumTo(gradient, [...batch, ...b.slice(-2)], b), b, right);
    }),
  ];
}
