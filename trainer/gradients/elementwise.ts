import { floatAttribute } from '../onnx/attributes.js';
import { elementCount } from '../onnx/tensor.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';
import { isTanhGelu, tanhGelu } from './tanhGelu.js';

/** dx = dy * slope, for functions of one value. */
function unary(slope: (g: NodeGradient, x: string, y: string) => string): GradientRule {
  return (g) => [g.mul(g.dy, slope(g, g.input(0), g.output(0)))];
}

const alpha = (g: NodeGradient, fallback: number) => floatAttribute(g.node, 'alpha', fallback);

/** slope where x > 0, otherwise the other; both may be constants. */
function rectified(g: NodeGradient, x: string, above: string, below: string): string {
  return g.emit('Where', [g.emit('Greater', [x, g.scalar(0)]), above, below]);
}

/** Derivatives of operators that compute each element for itself. */
export const elementwiseGradients: Record<string, GradientRule> = {
  Abs: unary((g, x) => g.emit('Sign', [x])),
  Acos: unary((g, x) => g.neg(g.emit('Reciprocal', [g.emit('Sqrt', [g.sub(1, g.square(x))])]))),
  Acosh: unary((g, x) => g.emit('Reciprocal', [g.emit('Sqrt', [g.add(g.square(x), -1)])])),
  Add: (g) => [0, 1].map((input) => g.back(input, () => g.dy)),
  Asin: unary((g, x) => g.emit('Reciprocal', [g.emit('Sqrt', [g.sub(1, g.square(x))])])),
  Asinh: unary((g, x) => g.emit('Reciprocal', [g.emit('Sqrt', [g.add(g.square(x), 1)])])),
  Atan: unary((g, x) => g.emit('Reciprocal', [g.add(g.square(x), 1)])),
  Atanh: unary((g, x) => g.emit('Reciprocal', [g.sub(1, g.square(x))])),
  Cast: (g) => [g.dy],
  CastLike: (g) => [g.dy, undefined],
  Celu: unary((g, x) => g.emit('Exp', [g.emit('Min', [g.mul(x, 1 / alpha(g, 1)), g.scalar(0)])])),
  Clip: (g) => {
    const within = [
      ...(g.input(1) ? [g.emit('GreaterOrEqual', [g.input(0), g.input(1)])] : []),
      ...(g.input(2) ? [g.emit('LessOrEqual', [g.input(0), g.input(2)])] : []),
    ];
    const [first, second] = within;
    if (first === undefined) return [g.dy];
    const both = second === undefined ? first : g.emit('And', [first, second]);
    return [g.mul(g.dy, g.emit('Cast', [both], { to: 1 }))];
  },
  Cos: unary((g, x) => g.neg(g.emit('Sin', [x]))),
  Cosh: unary((g, x) => g.emit('Sinh', [x])),
  Div: (g) => [
    g.back(0, () => g.div(g.dy, g.input(1))),
    g.back(1, () => g.neg(g.div(g.mul(g.dy, g.output(0)), g.input(1)))),
  ],
  Dropout: (g) => [g.dy],
  Elu: unary((g, x, y) => rectified(g, x, g.scalar(1), g.add(y, alpha(g, 1)))),
  Erf: unary((g, x) => g.mul(g.emit('Exp', [g.neg(g.square(x))]), 2 / Math.sqrt(Math.PI))),
  Exp: unary((_, __, y) => y),
  Gelu: (g) => [isTanhGelu(g.node) ? tanhGelu(g) : g.mul(g.dy, erfGelu(g, g.input(0)))],
  HardSigmoid: unary((g, _, y) => g.mul(g.mask('Greater', g.mul(y, g.sub(1, y)), 0), alpha(g, 0.2))),
  HardSwish: unary((g, x) => {
    const inside = g.add(g.mul(x, 1 / 3), 0.5);
    const upper = g.emit('Where', [g.emit('Greater', [x, g.scalar(3)]), g.scalar(1), inside]);
    return g.emit('Where', [g.emit('Less', [x, g.scalar(-3)]), g.scalar(0), upper]);
  }),
  Identity: (g) => [g.dy],
  LeakyRelu: unary((g, x) => rectified(g, x, g.scalar(1), g.scalar(alpha(g, 0.01)))),
  Log: (g) => [g.div(g.dy, g.input(0))],
  Max: extreme,
  Mean: (g) => g.node.input.map((_, input) => g.back(input, () => g.mul(g.dy, 1 / g.node.input.length))),
  Min: extreme,
  Mish: unary((g, x) => {
    const t = g.emit('Tanh', [g.emit('Softplus', [x])]);
    const s = g.emit('Sigmoid', [x]);
    return g.add(t, g.mul(g.mul(x, s), g.sub(1, g.square(t))));
  }),
  Mul: (g) => [g.back(0, () => g.mul(g.dy, g.input(1))), g.back(1, () => g.mul(g.dy, g.input(0)))],
  Neg: (g) => [g.neg(g.dy)],
  Pow: (g) => {
    const [x, p] = [g.input(0), g.input(1)];
    const known = g.shapes.contents(1);
    const exponent = known?.length === 1 ? known[0] : undefined;
    const slope = () => {
      if (exponent === 2) return g.mul(x, 2);
      if (exponent !== undefined) return g.mul(g.emit('Pow', [x, g.scalar(exponent - 1)]), exponent);
      return g.mul(g.emit('Pow', [x, g.emit('Sub', [p, g.scalar(1)])]), p);
    };
    return [
      g.back(0, () => g.mul(g.dy, slope())),
      g.back(1, () => g.mul(g.dy, g.mul(g.output(0), g.emit('Log', [x])))),
    ];
  },
  PRelu: (g) => {
    const x = g.input(0);
    return [
      g.back(0, () => g.mul(g.dy, rectified(g, x, g.scalar(1), g.input(1)))),
      g.back(1, () => g.mul(g.dy, g.emit('Min', [x, g.scalar(0)]))),
    ];
  },
  Reciprocal: unary((g, _, y) => g.neg(g.square(y))),
  Relu: unary((g, _, y) => g.mask('Greater', y, 0)),
  Selu: unary((g, x, y) => {
    const [a, scale] = [alpha(g, 1.6732632), floatAttribute(g.node, 'gamma', 1.0507009)];
    return rectified(g, x, g.scalar(scale), g.add(y, a * scale));
  }),
  Sigmoid: unary((g, _, y) => g.mul(y, g.sub(1, y))),
  Sin: unary((g, x) => g.emit('Cos', [x])),
  Sinh: unary((g, x) => g.emit('Cosh', [x])),
  Softplus: unary((g, x) => g.emit('Sigmoid', [x])),
  Softsign: unary((g, x) => g.emit('Reciprocal', [g.square(g.add(g.emit('Abs', [x]), 1))])),
  Sqrt: (g) => [g.div(g.mul(g.dy, 0.5), g.output(0))],
  Sub: (g) => [g.back(0, () => g.dy), g.back(1, () => g.neg(g.dy))],
  Sum: (g) => g.node.input.map((_, input) => g.back(input, () => g.dy)),
  Tan: unary((g, _, y) => g.add(g.square(y), 1)),
  Tanh: unary((g, _, y) => g.sub(1, g.square(y))),
  ThresholdedRelu: unary((g, x) => g.mask('Greater', x, alpha(g, 1))),
  Where: (g) => {
    const zero = g.scalar(0);
    return [
      undefined,
      g.back(1, () => g.emit('Where', [g.input(0), g.dy, zero])),
      g.back(2, () => g.emit('Where', [g.input(0), zero, g.dy])),
    ];
  },
};

/** Max and Min: equal largest values share the gradient, as in torch.maximum. */
function extreme(g: NodeGradient): (string | undefined)[] {
  if (g.node.input.length === 1) return [g.dy];
  const masks = g.node.input.map((name) => g.mask('Equal', name, g.output(0)));
  const count = masks.reduce((sum, mask) => g.add(sum, mask));
  const share = elementCount(g.outputShape(0)) === 0 ? g.dy : g.div(g.dy, count);
  return masks.map((mask, input) => g.back(input, () => g.mul(share, mask)));
}

/** x Phi(x): Phi(x) + x phi(x). */
function erfGelu(g: NodeGradient, x: string): string {
  const cdf = g.mul(g.add(g.emit('Erf', [g.mul(x, Math.SQRT1_2)]), 1), 0.5);
  const density = g.mul(g.emit('Exp', [g.mul(g.square(x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));
  return g.add(cdf, g.mul(x, density));
}
