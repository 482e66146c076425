import type { GraphBuilder } from './onnx/builder.js';
import { TensorProto_DataType as DataType } from './onnx/onnx.gen.js';
import { elementCount, type Shape } from './onnx/tensor.js';

export const lossNames = ['softmax_cross_entropy', 'bce_with_logits', 'mse', 'next_token'] as const;
export type LossName = (typeof lossNames)[number];

export interface LossOptions {
  readonly name: LossName;
  /** Softmax only: so much of the target goes to all classes alike (Szegedy et al. 2016). */
  readonly labelSmoothing?: number;
  /** Softmax only: labels of this value count for nothing, as if the position were not there. */
  readonly ignoredLabel?: number;
  /** Softmax only: where the classes stand in the output, last by default; 1 in the output of a convolution. */
  readonly classAxis?: number;
}

export interface Loss {
  /** Loss of each sample, [batch]: the mean over its positions. */
  readonly each: string;
  /** What is minimised: the mean over all that counts, []. */
  readonly mean: string;
  /** factor * d(mean)/d(output), in the shape of the output. */
  gradient(factor: number): string;
}

/** Labels are float32 for losses that compare numbers, int32 class ids otherwise. */
export function labelType(loss: LossName): 'int32' | 'float32' {
  return loss === 'mse' || loss === 'bce_with_logits' ? 'float32' : 'int32';
}

/**
 * Appends a loss of `output` [batch, ...shape] against `labels`.
 * @param labels class ids [batch, ...positions], which is the output's shape without its classes; for `mse` and `bce_with_logits`
 * numbers in the shape of the output; for `next_token` the tokens that the model reads, [batch, length].
 */
export function appendLoss(
  builder: GraphBuilder,
  options: LossOptions,
  output: string,
  shape: Shape,
  labels: string,
): Loss {
  switch (options.name) {
    case 'softmax_cross_entropy':
      if (options.classAxis === 1 && shape.length > 2)
        return classesSecond(builder, options, output, shape, labels);
      if (shape.length === 2 && !options.labelSmoothing && options.ignoredLabel === undefined)
        return plainSoftmax(builder, output, shape, labels);
      return softmax(builder, options, output, shape, labels);
    case 'next_token':
      return nextToken(builder, options, output, shape, labels);
    case 'mse':
      return squares(builder, output, shape, labels);
    case 'bce_with_logits':
      return binary(builder, output, shape, labels);
  }
}

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

function plainSoftmax(
  builder: GraphBuilder,
  logits: string,
  [batch = 1, classes = 1]: Shape,
  labels: string,
): Loss {
  const { each, gradient } = softmaxCrossEntropy(builder, logits, labels, classes);
  const mean = builder.node('ReduceMean', [each], { keepdims: 0 });
  return { each, mean, gradient: (factor) => gradient(factor / batch) };
}

/** With positions, ignored labels or smoothing. The mean is over the positions that count (in each, of the sample). */
function softmax(
  builder: GraphBuilder,
  options: LossOptions,
  logits: string,
  shape: Shape,
  labels: string,
): Loss {
  const classes = shape.at(-1) ?? 1;
  const batch = shape[0] ?? 1;
  const rows = elementCount(shape) / classes;
  const at = (value: string, to: Shape) => builder.node('Reshape', [value, builder.ints([to.length], to)]);
  const ids = at(labels, [rows]);
  const counts =
    options.ignoredLabel === undefined
      ? builder.floats([rows], new Float32Array(rows).fill(1))
      : builder.node('Sub', [
          builder.floats([], [1]),
          cast(builder, builder.node('Equal', [ids, int32(builder, options.ignoredLabel)])),
        ]);
  const smoothing = options.labelSmoothing ?? 0;
  const hot = builder.node(
    'OneHot',
    [
      ids,
      builder.floats([1], [classes]),
      builder.floats([2], [smoothing / classes, 1 - smoothing + smoothing / classes]),
    ],
    { axis: -1 },
  );
  const target = builder.node('Mul', [hot, at(counts, [rows, 1])]);
  const logProbabilities = builder.node('LogSoftmax', [at(logits, [rows, classes])], { axis: -1 });
  const loss = builder.node('Neg', [sum(builder, builder.node('Mul', [target, logProbabilities]), [1])]);
  const one = builder.floats([], [1]);
  const per = (value: string) => sum(builder, at(value, [batch, rows / batch]), [1]);
  const each = builder.node('Div', [per(loss), builder.node('Max', [per(counts), one])]);
  const total = builder.node('Max', [sum(builder, counts, [0]), one]);
  const mean = builder.node('Div', [sum(builder, loss, [0]), total]);
  const gradient = (factor: number) => {
    const weighted = builder.node('Mul', [builder.node('Exp', [logProbabilities]), at(counts, [rows, 1])]);
    const share = builder.node('Div', [builder.floats([], [factor]), total]);
    return at(builder.node('Mul', [builder.node('Sub', [weighted, target]), share]), shape);
  };
  return { each, mean, gradient };
}

/** The classes of an image's pixels stand behind the batch: moved to the end, and the gradient back. */
function classesSecond(
  builder: GraphBuilder,
  options: LossOptions,
  output: string,
  shape: Shape,
  labels: string,
): Loss {
  const places = shape.map((_, axis) => axis);
  const toEnd = [0, ...places.slice(2), 1];
  const back = [0, shape.length - 1, ...places.slice(1, -1)];
  const moved = builder.node('Transpose', [output], { perm: toEnd });
  const loss = softmax(
    builder,
    options,
    moved,
    toEnd.map((axis) => shape[axis] ?? 1),
    labels,
  );
  return {
    ...loss,
    gradient: (factor) => builder.node('Transpose', [loss.gradient(factor)], { perm: back }),
  };
}

/** What stands at a position is told from all before it: logits but the last against tokens but the first. */
function nextToken(
  builder: GraphBuilder,
  options: LossOptions,
  logits: string,
  shape: Shape,
  tokens: string,
): Loss {
  const [batch = 1, length = 1, classes = 1] = shape;
  const part = (value: string, from: number, to: number) =>
    builder.node('Slice', [
      value,
      builder.ints([1], [from]),
      builder.ints([1], [to]),
      builder.ints([1], [1]),
    ]);
  const loss = softmax(
    builder,
    options,
    part(logits, 0, length - 1),
    [batch, length - 1, classes],
    part(tokens, 1, length),
  );
  const pads = builder.ints([6], [0, 0, 0, 0, 1, 0]);
  return { ...loss, gradient: (factor) => builder.node('Pad', [loss.gradient(factor), pads]) };
}

/** Mean over all numbers, as torch.nn.functional.mse_loss. */
function squares(builder: GraphBuilder, output: string, shape: Shape, labels: string): Loss {
  const excess = builder.node('Sub', [output, labels]);
  const square = builder.node('Mul', [excess, excess]);
  const scale = (factor: number) => builder.floats([], [(2 * factor) / elementCount(shape)]);
  return {
    ...means(builder, square, shape),
    gradient: (factor) => builder.node('Mul', [excess, scale(factor)]),
  };
}

/** softplus(z) - y z, which never takes the logarithm of nothing. */
function binary(builder: GraphBuilder, output: string, shape: Shape, labels: string): Loss {
  const loss = builder.node('Sub', [
    builder.node('Softplus', [output]),
    builder.node('Mul', [output, labels]),
  ]);
  const excess = () => builder.node('Sub', [builder.node('Sigmoid', [output]), labels]);
  const scale = (factor: number) => builder.floats([], [factor / elementCount(shape)]);
  return {
    ...means(builder, loss, shape),
    gradient: (factor) => builder.node('Mul', [excess(), scale(factor)]),
  };
}

function means(builder: GraphBuilder, values: string, shape: Shape): { each: string; mean: string } {
  const rows = builder.node('Reshape', [values, builder.ints([2], [shape[0] ?? 1, -1])]);
  const share = builder.floats([], [(shape[0] ?? 1) / elementCount(shape)]);
  const each = builder.node('Mul', [sum(builder, rows, [1]), share]);
  return { each, mean: builder.node('ReduceMean', [each], { keepdims: 0 }) };
}

function sum(builder: GraphBuilder, value: string, axes: readonly number[]): string {
  return builder.node('ReduceSum', [value, builder.ints([axes.length], axes)], { keepdims: 0 });
}

function cast(builder: GraphBuilder, value: string): string {
  return builder.node('Cast', [value], { to: DataType.FLOAT });
}

function int32(builder: GraphBuilder, value: number): string {
  return builder.node('Cast', [builder.ints([], [value])], { to: DataType.INT32 });
}
