import { textAttribute } from '../onnx/attributes.js';
import type { Shape } from '../onnx/tensor.js';
import { unsupported } from '../shapes/values.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';
import { slice, type Direction, type DirectionGradient } from './recurrent/direction.js';
import { gruDirection } from './recurrent/gru.js';
import { lstm } from './recurrent/lstm.js';
import { rnnDirection } from './recurrent/rnn.js';

/**
 * Backpropagation through time. The forward pass of GRU and RNN is onnxruntime's own kernel, which keeps only h; gates are
 * computed again for all steps at once, and only what truly depends on the step after it runs step by step, in a Scan.
 */
export const recurrentGradients: Record<string, GradientRule> = {
  LSTM: (g) => {
    checkUsual(g);
    return lstm(g);
  },
  GRU: (g) => recurrent(g, gruDirection),
  RNN: (g) => recurrent(g, rnnDirection),
};

function recurrent(
  g: NodeGradient,
  rule: (g: NodeGradient, d: Direction) => DirectionGradient,
): (string | undefined)[] {
  const [steps = 0, batch = 0, width = 0] = g.inputShape(0);
  const [directions = 1] = g.inputShape(1);
  const hidden = g.inputShape(2)[2] ?? 0;
  checkUsual(g);
  const gates = (g.inputShape(1)[1] ?? 0) / hidden;
  const backwards = (direction: number) =>
    direction === 1 || textAttribute(g.node, 'direction', 'forward') === 'reverse';
  const pick = (value: string, at: number, shape: Shape) =>
    g.reshape(directions === 1 ? value : slice(g, value, 0, at, at + 1), shape);
  const turn = (value: string, direction: number) =>
    backwards(direction)
      ? g.emit('Slice', [value, g.ints([-1]), g.ints([-(2 ** 52)]), g.ints([0]), g.ints([-1])])
      : value;
  const state = [batch, hidden];
  const results = Array.from({ length: directions }, (_, at) => {
    const last = g.dyOf(1);
    const steady = [steps, batch, hidden];
    const ofDirection = (value: string) =>
      turn(g.reshape(directions === 1 ? value : slice(g, value, 1, at, at + 1), steady), at);
    const h0 = g.input(5) ? pick(g.input(5), at, state) : g.zeros(state);
    const y = ofDirection(g.output(0));
    const first = g.reshape(h0, [1, batch, hidden]);
    const half = gates * hidden;
    const bias = g.input(3) ? pick(g.input(3), at, [2 * half]) : undefined;
    const dy = g.dyOf(0);
    const result = rule(g, {
      steps,
      batch,
      hidden,
      width,
      x: turn(g.input(0), at),
      w: pick(g.input(1), at, [gates * hidden, width]),
      r: pick(g.input(2), at, [gates * hidden, hidden]),
      biases:
        bias === undefined ? undefined : [slice(g, bias, 0, 0, half), slice(g, bias, 0, half, 2 * half)],
      h0,
      before: steps === 1 ? first : g.emit('Concat', [first, slice(g, y, 0, 0, steps - 1)], { axis: 0 }),
      y,
      dy: dy === undefined ? g.zeros(steady) : ofDirection(dy),
      dh: last === undefined ? g.zeros(state) : pick(last, at, state),
      activation: activationsOf(g)[at] ?? 'Tanh',
    });
    return { ...result, x: turn(result.x, at) };
  });
  const joined = (values: readonly string[], shape: Shape) => {
    const parts = values.map((value) => g.reshape(value, [1, ...shape]));
    return parts.length === 1 ? (parts[0] ?? '') : g.emit('Concat', parts, { axis: 0 });
  };
  return [
    g.when(0, () => results.map(({ x }) => x).reduce((a, b) => g.add(a, b))),
    g.when(1, () =>
      joined(
        results.map(({ w }) => w),
        [gates * hidden, width],
      ),
    ),
    g.when(2, () =>
      joined(
        results.map(({ r }) => r),
        [gates * hidden, hidden],
      ),
    ),
    g.when(3, () =>
      joined(
        results.map(({ biases }) => g.emit('Concat', biases, { axis: 0 })),
        [2 * gates * hidden],
      ),
    ),
    undefined,
    g.when(5, () =>
      joined(
        results.map(({ h0 }) => h0),
        state,
      ),
    ),
  ];
}

function checkUsual(g: NodeGradient): void {
  if (g.node.attribute.some(({ name }) => ['activations', 'clip'].includes(name)) && !isUsual(g))
    throw unsupported(g.node, 'has activations of its own, or clips');
}

/** The defaults written out, of a plain RNN also Relu, and no clipping. */
function isUsual(g: NodeGradient): boolean {
  if (g.node.attribute.some(({ name }) => name === 'clip')) return false;
  const names = activationsOf(g);
  if (g.node.opType === 'RNN') return names.every((name) => name === 'Tanh' || name === 'Relu');
  const usual = g.node.opType === 'LSTM' ? ['Sigmoid', 'Tanh', 'Tanh'] : ['Sigmoid', 'Tanh'];
  return names.every((name, at) => name === usual[at % usual.length]);
}

function activationsOf(g: NodeGradient): string[] {
  const names = g.node.attribute.find(({ name }) => name === 'activations')?.strings ?? [];
  return names.map((name) => new TextDecoder().decode(name));
}
