import { intAttribute } from '../onnx/attributes.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { reducedAxes } from '../shapes.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';

/** dx = dy * slope, where dy and y are given the reduced axes back as ones. */
function reduction(
  gradient: (g: NodeGradient, dy: string, y: string, axes: readonly number[]) => string,
): GradientRule {
  return (g) => {
    const shape = g.inputShape(0);
    const axes = reducedAxes(g.shapes, shape.length);
    const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const open = (value: string) =>
      g.outputShape(0).join() === kept.join() ? value : g.reshape(value, kept);
    return [gradient(g, open(g.dy), open(g.output(0)), axes)];
  };
}

const expand = (g: NodeGradient, value: string) => g.emit('Expand', [value, g.ints(g.inputShape(0))]);
const countOf = (shape: Shape, axes: readonly number[]) => elementCount(axes.map((axis) => shape[axis] ?? 1));

/** Equal largest values share the gradient, as in torch.amax. */
const extreme = reduction((g, dy, y, axes) => {
  const mask = g.mask('Equal', g.input(0), y);
  return g.mul(mask, g.div(dy, g.sum(mask, axes, true)));
});

/** Derivatives of sums and their relatives. */
export const reductionGradients: Record<string, GradientRule> = {
  CumSum: (g) => [
    g.emit('CumSum', [g.dy, g.input(1)], {
      exclusive: intAttribute(g.node, 'exclusive', 0),
      reverse: 1 - intAttribute(g.node, 'reverse', 0),
    }),
    undefined,
  ],
  LogSoftmax: (g) => {
    const axis = g.shapes.axis('axis', -1, g.inputShape(0).length);
    return [g.emit('Sub', [g.dy, g.mul(g.emit('Exp', [g.output(0)]), g.sum(g.dy, [axis], true))])];
  },
  ReduceL1: reduction((g, dy) => g.mul(dy, g.emit('Sign', [g.input(0)]))),
  ReduceL2: reduction((g, dy, y) => g.mul(g.input(0), g.div(dy, y))),
  ReduceLogSum: reduction((g, dy, y) => expand(g, g.mul(dy, g.emit('Exp', [g.neg(y)])))),
  ReduceLogSumExp: reduction((g, dy, y) => g.mul(dy, g.emit('Exp', [g.emit('Sub', [g.input(0), y])]))),
  ReduceMax: extreme,
  ReduceMean: reduction((g, dy, _, axes) => expand(g, g.mul(dy, 1 / countOf(g.inputShape(0), axes)))),
  ReduceMin: extreme,
  ReduceProd: reduction((g, dy, y) => g.div(g.mul(dy, y), g.input(0))),
  ReduceSum: reduction((g, dy) => expand(g, dy)),
  ReduceSumSquare: reduction((g, dy) => g.mul(g.mul(g.input(0), 2), dy)),
  Softmax: (g) => {
    const axis = g.shapes.axis('axis', -1, g.inputShape(0).length);
    const y = g.output(0);
    return [g.mul(y, g.emit('Sub', [g.dy, g.sum(g.mul(g.dy, y), [axis], true)]))];
  },
  LayerNormalization: layerNormalization,
};

/** Ba et al. 2016, from the statistics that the forward pass kept. */
function layerNormalization(g: NodeGradient): (string | undefined)[] {
  const shape = g.inputShape(0);
  const first = g.shapes.axis('axis', -1, shape.length);
  const axes = shape.flatMap((_, axis) => (axis < first ? [] : [axis]));
  const [mean, inverse] = [g.output(1), g.output(2)];
  const normal = g.mul(g.emit('Sub', [g.input(0), mean]), inverse);
  const count = countOf(shape, axes);
  const average = (value: string) => g.mul(g.sum(value, axes, true), 1 / count);
  const input = () => {
    const d = g.mul(g.dy, g.input(1));
    const centred = g.emit('Sub', [d, average(d)]);
    return g.mul(g.emit('Sub', [centred, g.mul(normal, average(g.mul(d, normal)))]), inverse);
  };
  return [g.when(0, input), g.back(1, () => g.mul(g.dy, normal)), g.back(2, () => g.dy)];
}
