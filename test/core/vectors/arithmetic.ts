/** Grids, updates, weights and steps (PROTOCOL sections 1 to 4). */
import { encodeDelta, quantise, stepExponent } from '#core/fixedPoint.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import { weightOf, weightShift } from '#core/weights.js';
import { U64 } from './inputs.js';

export function arithmetic(): unknown {
  const exponents = [
    0,
    2 ** -149,
    0.5,
    1,
    1 + 2 ** -23,
    1.5,
    2,
    2 + 2 ** -22,
    100,
    2 ** 127,
    (2 - 2 ** -23) * 2 ** 127,
  ];
  const deltas: [number, number, number][] = [
    [0.1, 0, -26],
    [0.1, 6710886, -26],
    [-0.25, 33554433, -26],
    [3 * 2 ** -27, 0, -26],
    [5 * 2 ** -27, 0, -26],
    [-3 * 2 ** -27, 0, -26],
    [32, 0, -26],
    [-1e30, 7, -20],
    [1e30, -7, 80],
  ];
  const steps: [number, number, number, number, number][] = [
    [0, 3, 2, 1, 1],
    [0, 5, 2, 1, 1],
    [0, -3, 2, 1, 1],
    [10, -7, 4, 1, 1],
    [-5, 600722175, 3, 3, 2],
    [7, -(2 ** 53) + 2 ** 22, 2 ** 22, 1, 3],
    [0, 2 ** 53 - 2 ** 22 - 1, 2 ** 22, 2 ** 20 - 1, 2 ** 20],
  ];
  return {
    note: 'float32 inputs are given exactly as JSON numbers; P, S, W and q are integers',
    stepExponents: exponents.map((maxAbs) => ({ maxAbs, exponent: stepExponent(maxAbs) })),
    quantised: [0.3, -0.7, 1.5 * 2 ** -26, 2.5 * 2 ** -26].map((number) => {
      const value = Math.fround(number);
      const out = new Int32Array(1);
      quantise(Float32Array.of(value), -26, out);
      return { value, exponent: -26, P: out[0] };
    }),
    deltas: deltas.map(([number, P, exponent]) => {
      const local = Math.fround(number);
      const out = new Int32Array(1);
      const saturated = encodeDelta(Float32Array.of(local), Int32Array.of(P), exponent, out);
      return { local, P, exponent, q: out[0], saturated };
    }),
    shifts: [
      [2000, 2000],
      [2 ** 22, 1],
      [10 ** 9, 1, 600],
      [1n, U64],
    ].map((declared) => {
      const shift = weightShift(declared);
      return {
        samples: declared.map(String),
        shift,
        weights: declared.map((samples) => weightOf(samples, shift)),
      };
    }),
    fedAvg: steps.map(([P, S, W, numerator, denominator]) => ({
      P,
      S,
      W,
      rate: { numerator, denominator },
      next: fedAvg(Int32Array.of(P), Float64Array.of(S), W, { numerator, denominator })[0],
    })),
    fedAvgM: steps.slice(0, 5).map(([P, S, W, numerator, denominator], i) => {
      const rate = { numerator, denominator };
      const momentum = { numerator: 9, denominator: 10 };
      const v = 5 - 1001 * i;
      const next = fedAvgM(Int32Array.of(P), Int32Array.of(v), Float64Array.of(S), W, rate, momentum);
      return { P, velocity: v, S, W, rate, momentum, next: next.params[0], nextVelocity: next.velocity[0] };
    }),
  };
}
