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
  readonly c0: string;
  /** [steps, batch, hidden]: the states before each step, and the gradients of those after it. */
  readonly before: string;
  readonly dy: string;
  /** Gradients of the last states, [batch, hidden]. */
  readonly dh: string;
  readonly dc: string;
}

/** Gradients of a direction's x, w, r, both biases and initial states. */
export interface DirectionGradient {
  readonly x: string;
  readonly w: string;
  readonly r: string;
  readonly biases: readonly [string, string];
  readonly h0: string;
  readonly c0?: string;
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

/** The sums that enter the gates, [steps, batch, gates * hidden]. */
export function sums(g: NodeGradient, d: Direction): string {
  const bias = d.biases && g.add(d.biases[0], d.biases[1]);
  const rows = d.steps * d.batch;
  const fromInput = g.reshape(matrix(g, d, d.x, d.w, d.width, bias), [rows, -1]);
  const state = g.reshape(d.before, [rows, d.hidden]);
  const sum = g.emit('Gemm', [state, d.r, fromInput], { transB: 1 });
  return g.reshape(sum, [d.steps, d.batch, -1]);
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
