import type { GraphBuilder } from './onnx/builder.js';

export type LossName = 'softmax_cross_entropy';

/**
 * Softmax cross-entropy of logits [N, classes] with class ids [N] (int32).
 * @returns `each`: the loss of each sample, [N]; `gradient(factor)`: factor * d(sum of losses)/d(logits), which is
 * factor * (softmax - one-hot), [N, classes].
 */
export function softmaxCrossEntropy(builder: GraphBuilder, logits: string, labels: string, classes: number) {
  const depth = builder.floats([1], [classes]);
  const target = builder.node('OneHot', [labels, depth, builder.floats([2], [0, 1])], { axis: -1 });
  const logProbabilities = builder.node('LogSoftmax', [logits], { axis: -1 });
  const picked = builder.node('Mul', [target, logProbabilities]);
  const each = builder.node('Neg', [
    builder.node('ReduceSum', [picked, builder.ints([1], [1])], { keepdims: 0 }),
  ]);
  const gradient = (factor: number) => {
    const excess = builder.node('Sub', [builder.node('Exp', [logProbabilities]), target]);
    return builder.node('Mul', [excess, builder.floats([], [factor])]);
  };
  return { each, gradient };
}
