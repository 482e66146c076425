import { textAttribute } from '../../onnx/attributes.js';
import type { Shape } from '../../onnx/tensor.js';
import type { NodeGradient } from '../nodeGradient.js';

/** Of a recurrent layer: x is [steps, batch, width], y [steps, directions, batch, hidden]. */
export interface Sizes {
  readonly steps: number;
  readonly batch: number;
  readonly width: number;
  readonly hidden: number;
  readonly directions: number;
}

export function sizesOf(g: NodeGradient): Sizes {
  const [steps = 0, batch = 0, width = 0] = g.inputShape(0);
  const [directions = 1, , hidden = 0] = g.inputShape(2);
  return { steps, batch, width, hidden, directions };
}

export function isReverse(g: NodeGradient, at: number): boolean {
  return at === 1 || textAttribute(g.node, 'direction', 'forward') === 'reverse';
}

/** The part of a direction in a value that has one for each. */
export function ofDirection(
  g: NodeGradient,
  { directions }: Sizes,
  value: string,
  at: number,
  shape: Shape,
): string {
  return g.reshape(directions === 1 ? value : slice(g, value, 0, at, at + 1), shape);
}

/** [steps, batch, hidden] of a direction, from [steps, directions, batch, hidden]. */
export function stepsOf(g: NodeGradient, sizes: Sizes, value: string, at: number): string {
  const { steps, batch, hidden, directions } = sizes;
  return g.reshape(directions === 1 ? value : slice(g, value, 1, at, at + 1), [steps, batch, hidden]);
}

/** What stood before each step: the first value, and those of all steps but the last one taken. */
export function shifted(
  g: NodeGradient,
  first: string,
  values: string,
  steps: number,
  reverse: boolean,
): string {
  if (steps === 1) return first;
  const others = reverse ? slice(g, values, 0, 1, steps) : slice(g, values, 0, 0, steps - 1);
  return g.emit('Concat', reverse ? [others, first] : [first, others], { axis: 0 });
}

/** h before each step, [steps, batch, hidden]. */
export function statesBefore(g: NodeGradient, sizes: Sizes, at: number): string {
  const { steps, batch, hidden } = sizes;
  const shape = [1, batch, hidden];
  const first = g.input(5) ? ofDirection(g, sizes, g.input(5), at, shape) : g.zeros(shape);
  return shifted(g, first, stepsOf(g, sizes, g.output(0), at), steps, isReverse(g, at));
}

/** An initial state of a direction, as columns [hidden, batch]; zeros where none is given. */
export function firstState(g: NodeGradient, sizes: Sizes, input: number, at: number): string {
  const { batch, hidden } = sizes;
  if (!g.input(input)) return g.zeros([hidden, batch]);
  return g.transpose(ofDirection(g, sizes, g.input(input), at, [batch, hidden]), [1, 0]);
}

/** The gradient of a last state of a direction, as columns [hidden, batch]; zeros where nothing depends on it. */
export function endOf(g: NodeGradient, sizes: Sizes, output: number, at: number): string {
  const { batch, hidden } = sizes;
  const gradient = g.dyOf(output);
  if (gradient === undefined) return g.zeros([hidden, batch]);
  return g.transpose(ofDirection(g, sizes, gradient, at, [batch, hidden]), [1, 0]);
}

/** Rows of a matrix, or of matrices along `axis`, in parts of these sizes. */
export function cut(g: NodeGradient, value: string, sizes: readonly number[], axis = 0): string[] {
  const parts = sizes.map(() => g.builder.names.fresh('part'));
  g.builder.add('Split', [value, g.ints(sizes)], parts, { axis });
  return parts;
}

export function slice(g: NodeGradient, value: string, axis: number, from: number, to: number): string {
  return g.emit('Slice', [value, g.ints([from]), g.ints([to]), g.ints([axis])]);
}
