import type { NodeGradient } from '../nodeGradient.js';

/** One direction: its tensors, steps in the order in which they are computed. */
export interface Direction {
  readonly steps: number;
  readonly batch: number;
  readonly hidden: number;
  /** [steps, batch, width] */
  readonly x: string;
  readonly width: number;
  /** [gates * hidden, width] and [gates * hidden, hidden] */
  readonly w: string;
  readonly r: string;
  /** [gates * hidden] each, or undefined */
  readonly biases: readonly [string, string] | undefined;
  /** [batch, hidden] */
  readonly h0: string;
  /** [steps, batch, hidden]: the states before each step, those after it, and their gradients. */
  readonly before: string;
  readonly y: string;
  readonly dy: string;
  /** Gradient of the last state, [batch, hidden]. */
  readonly dh: string;
  /** Of a plain RNN. */
  readonly activation: string;
}

/** Gradients of a direction's x, w, r, both biases and initial state. */
export interface DirectionGradient {
  readonly x: string;
  readonly w: string;
  readonly r: string;
  readonly biases: readonly [string, string];
  readonly h0: string;
}

/** What all gates' sums say about x, w, r and the biases: products over all steps at once. */
export function products(g: NodeGradient, d: Direction, input: string, state: string) {
  const rows = d.steps * d.batch;
  const flat = (value: string) => g.reshape(value, [rows, -1]);
  const [gates, inner] = [flat(input), input === state ? flat(input) : flat(state)];
  const total = (value: string) => g.emit('MatMul', [g.ones([rows]), value]);
  return {
    x: g.reshape(g.gemm(gates, false, d.w, false), [d.steps, d.batch, d.width]),
    w: g.gemm(gates, true, flat(d.x), false),
    r: g.gemm(inner, true, flat(d.before), false),
    biases: [total(gates), total(inner)] as const,
  };
}

/** values [steps, batch, width] times weights' [width, n], plus bias [n]. */
export function matrix(
  g: NodeGradient,
  d: Direction,
  values: string,
  weights: string,
  width: number,
  bias?: string,
): string {
  const flat = g.reshape(values, [d.steps * d.batch, width]);
  const inputs = bias === undefined ? [flat, weights] : [flat, weights, bias];
  return g.reshape(g.emit('Gemm', inputs, { transB: 1 }), [d.steps, d.batch, -1]);
}

export function split(g: NodeGradient, value: string, parts: number): string[] {
  const names = Array.from({ length: parts }, () => g.builder.names.fresh('Split_out'));
  g.builder.add('Split', [value], names, { axis: 2, num_outputs: parts });
  return names;
}

export function slice(g: NodeGradient, value: string, axis: number, from: number, to: number): string {
  return g.emit('Slice', [value, g.ints([from]), g.ints([to]), g.ints([axis])]);
}
