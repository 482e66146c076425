import type { Graph } from '../graph.js';
import { labelType, softmaxCrossEntropy } from '../loss.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { TensorProto_DataType as DataType } from '../onnx/onnx.gen.js';
import { outputShape } from './parts.js';
import type { EvaluationOptions, EvaluationPlan } from './plan.js';

type Scores = Pick<EvaluationPlan['names'], 'losses' | 'right' | 'counts'>;

/** Losses of each sample and what it got right (EvaluationPlan), of a batch of any size. */
export function appendScores(
  builder: GraphBuilder,
  graph: Graph,
  options: EvaluationOptions,
  labels: string,
): Scores {
  return labelType(options.loss) === 'float32'
    ? scoreNumbers(builder, graph, options, labels)
    : scoreClasses(builder, graph, options, labels);
}

/** One row of logits for each label. */
function scoreClasses(
  builder: GraphBuilder,
  graph: Graph,
  { loss, classAxis, ignoredLabel }: EvaluationOptions,
  labels: string,
): Scores {
  const shape = outputShape(graph);
  const classes = shape.at(classAxis === 1 ? 0 : -1) ?? 1;
  let [logits, ids, positions] = [graph.output.name, labels, shape.reduce((a, b) => a * b, 1) / classes];
  if (classAxis === 1) {
    const rest = shape.slice(1).map((_, axis) => axis + 2);
    logits = builder.node('Transpose', [logits], { perm: [0, ...rest, 1] });
  }
  if (loss === 'next_token') {
    // What stands at a position is told from all before it.
    const [length = 1] = shape;
    const part = (value: string, from: number, to: number) =>
      builder.node('Slice', [value, ...[from, to, 1].map((bound) => builder.ints([1], [bound]))]);
    logits = part(reshaped(builder, logits, [-1, length, classes]), 0, length - 1);
    ids = part(ids, 1, length);
    positions = length - 1;
  }
  const isPlain = shape.length === 1;
  const rows = isPlain ? logits : reshaped(builder, logits, [-1, classes]);
  const flat = isPlain ? ids : reshaped(builder, ids, [-1]);
  const { each } = softmaxCrossEntropy(builder, rows, flat, classes);
  const told = builder.node('Cast', [builder.node('ArgMax', [rows], { axis: 1, keepdims: 0 })], {
    to: DataType.INT32,
  });
  const right = float(builder, builder.node('Equal', [told, flat]));
  const perSample = (value: string) =>
    positions === 1 ? value : sumRows(builder, reshaped(builder, value, [-1, positions]));
  if (ignoredLabel === undefined) return { losses: perSample(each), right: perSample(right) };
  const ignored = builder.node('Cast', [builder.ints([], [ignoredLabel])], { to: DataType.INT32 });
  const counts = float(builder, builder.node('Not', [builder.node('Equal', [flat, ignored])]));
  return {
    // Where, not Mul: a loss that does not count may be infinite.
    losses: perSample(
      builder.node('Where', [
        builder.node('Cast', [counts], { to: DataType.BOOL }),
        each,
        builder.floats([], [0]),
      ]),
    ),
    right: perSample(builder.node('Mul', [right, counts])),
    counts: perSample(counts),
  };
}

/** Squares, or the two sides of one half. */
function scoreNumbers(
  builder: GraphBuilder,
  graph: Graph,
  { loss }: EvaluationOptions,
  labels: string,
): Scores {
  const output = reshaped(builder, graph.output.name, [-1, ...outputShape(graph)]);
  const perSample = (value: string) => sumRows(builder, builder.node('Flatten', [value], { axis: 1 }));
  if (loss === 'mse') {
    const excess = builder.node('Sub', [output, labels]);
    return { losses: perSample(builder.node('Mul', [excess, excess])) };
  }
  const softplus = builder.node('Softplus', [output]);
  const losses = perSample(builder.node('Sub', [softplus, builder.node('Mul', [output, labels])]));
  const says = builder.node('Greater', [output, builder.floats([], [0])]);
  const is = builder.node('Greater', [labels, builder.floats([], [0.5])]);
  return { losses, right: perSample(float(builder, builder.node('Equal', [says, is]))) };
}

function reshaped(builder: GraphBuilder, value: string, shape: readonly number[]): string {
  return builder.node('Reshape', [value, builder.ints([shape.length], shape)]);
}

function sumRows(builder: GraphBuilder, value: string): string {
  return builder.node('ReduceSum', [value, builder.ints([1], [1])], { keepdims: 0 });
}

function float(builder: GraphBuilder, value: string): string {
  return builder.node('Cast', [value], { to: DataType.FLOAT });
}
