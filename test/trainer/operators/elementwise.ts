import * as fc from 'fast-check';
import {
  alpha,
  broadcasting,
  drawn,
  flag,
  operator,
  positive,
  shape,
  size,
  small,
  apart,
  unary,
  type Case,
} from './case.js';
import { writtenGelus } from './writtenGelu.js';

/** Between -0.8 and 0.8. */
const within = (value: number) => 0.8 * Math.tanh(value);

/** Operators that compute each element for itself. */
export const elementwise: Record<string, fc.Arbitrary<Case>> = {
  Abs: unary('Abs'),
  Acos: unary('Acos', within),
  Acosh: unary('Acosh', (value) => 1 + positive(value)),
  Asin: unary('Asin', within),
  Asinh: unary('Asinh'),
  Atan: unary('Atan'),
  Atanh: unary('Atanh', within),
  Cast: unary('Cast', small, fc.constant({ to: 1 })),
  CastLike: drawn(shape, (shape) => ({
    inputs: { x: shape },
    build: (builder) => void builder.node('CastLike', ['x', builder.floats([], [1])], {}, 'y'),
  })),
  Celu: unary('Celu', small, alpha),
  Clip: drawn(fc.tuple(shape, flag, flag), ([shape, low, high]) => ({
    inputs: { x: shape },
    build(builder) {
      const bounds = [low ? builder.floats([], [-0.5]) : '', high ? builder.floats([], [0.75]) : ''];
      builder.node('Clip', ['x', ...bounds], {}, 'y');
    },
  })),
  Cos: unary('Cos'),
  Cosh: unary('Cosh'),
  Div: broadcasting('Div', (value, input) => (input === 'a' ? value / 4 : positive(value))),
  Dropout: unary('Dropout'),
  Elu: unary('Elu', small, alpha),
  Erf: unary('Erf'),
  Exp: unary('Exp'),
  Gelu: fc.oneof(
    fc
      .tuple(unary('Gelu', small, fc.constantFrom({ approximate: 'none' }, { approximate: 'tanh' })))
      .map(([drawn]) => ({ ...drawn, opset: 20 })),
    drawn(fc.tuple(shape, fc.constantFrom(...Object.values(writtenGelus))), ([shape, write]) => ({
      inputs: { x: shape },
      domain: small,
      curved: true,
      build: (builder) => void builder.node('Identity', [write(builder)], {}, 'y'),
    })),
  ),
  HardSigmoid: unary('HardSigmoid', (value) => value * 2),
  HardSwish: unary('HardSwish', (value) => value * 1.5),
  LeakyRelu: unary('LeakyRelu', small, alpha),
  Log: unary('Log', positive),
  Max: broadcasting('Max', apart, 3),
  Mean: broadcasting('Mean', small, 3),
  Min: broadcasting('Min', apart, 3),
  Mish: unary('Mish'),
  Mul: broadcasting('Mul'),
  Neg: unary('Neg'),
  Pow: fc.oneof(
    broadcasting('Pow', (value, input) => (input === 'a' ? positive(value) : value / 4)),
    drawn(fc.tuple(shape, fc.constantFrom(2, 3, 0.5)), ([shape, exponent]) => ({
      inputs: { x: shape },
      domain: positive,
      curved: true,
      build: (builder) => void builder.node('Pow', ['x', builder.floats([], [exponent])], {}, 'y'),
    })),
  ),
  PRelu: drawn(fc.tuple(size, size, size), ([n, c, w]) => ({
    ...operator('PRelu', { x: [n, c, w], slope: [c, 1] }, {}, 0),
    domain: small,
    curved: true,
  })),
  Reciprocal: unary('Reciprocal', positive),
  Selu: unary('Selu'),
  Sigmoid: unary('Sigmoid'),
  Sin: unary('Sin'),
  Sinh: unary('Sinh'),
  Softplus: unary('Softplus'),
  Softsign: unary('Softsign'),
  Sqrt: unary('Sqrt', positive),
  Sub: broadcasting('Sub'),
  Sum: broadcasting('Sum', small, 3),
  Tan: unary('Tan', within),
  Tanh: unary('Tanh'),
  ThresholdedRelu: unary('ThresholdedRelu', (value) => value * 2, alpha),
  Where: drawn(fc.tuple(shape, fc.boolean()), ([shape, one]) => ({
    inputs: { a: shape, b: one ? [1] : shape },
    build(builder) {
      const condition = builder.node('Greater', ['a', 'b']);
      builder.node('Where', [condition, 'a', builder.node('Mul', ['b', 'b'])], {}, 'y');
    },
    domain: apart,
    curved: true,
  })),
};
