/** What all compiled graphs have in common: data in, the model's output, loss and gradients. */
import { blockConvolutions } from '../blocked.js';
import { differentiate } from '../differentiate.js';
import { inputType as typeOfInput, type Graph } from '../graph.js';
import { appendLoss, labelType, type Loss } from '../loss.js';
import { labelShape } from '../modelData.js';
import { Names, valueInfo, type GraphBuilder } from '../onnx/builder.js';
import { TensorProto_DataType as DataType, type ValueInfoProto } from '../onnx/onnx.gen.js';
import type { Shape } from '../onnx/tensor.js';
import type { Prepared } from '../prepare.js';
import type { InputType, LossPlan, PlanShape } from './plan.js';

export const dataTypes = {
  uint8: DataType.UINT8,
  float32: DataType.FLOAT,
  int32: DataType.INT32,
  int64: DataType.INT64,
} as const;

/** Loss of the model's output, and the gradients of `factor` times its mean, by weight. */
export function appendBackward(
  builder: GraphBuilder,
  graph: Graph,
  forward: Prepared,
  labels: string,
  options: LossPlan,
  factor: number,
): { loss: Loss; output: string; gradients: Map<string, string> } {
  const { batch } = options;
  const shape = [batch, ...outputShape(graph)];
  const { name, rows } = graph.output;
  const reshaped = (value: string, to: Shape) =>
    builder.node('Reshape', [value, builder.ints([to.length], to)]);
  const output = rows === undefined ? name : reshaped(name, shape);
  const loss = appendLoss(
    builder,
    {
      name: options.loss,
      ...(options.labelSmoothing === undefined ? {} : { labelSmoothing: options.labelSmoothing }),
      ...(options.ignoredLabel === undefined ? {} : { ignoredLabel: options.ignoredLabel }),
      ...(options.classAxis === undefined ? {} : { classAxis: options.classAxis }),
    },
    output,
    shape,
    labels,
  );
  const seed = loss.gradient(factor);
  const gradient = rows === undefined ? seed : reshaped(seed, [batch * rows, ...shape.slice(2)]);
  const wanted = graph.weights.map((weight) => weight.name);
  const gradients = differentiate(
    builder,
    forward.nodes,
    forward.known,
    { name, gradient },
    wanted,
    forward.opset,
  );
  if (options.block !== undefined) blockConvolutions(builder, forward.known.shapes, options.block);
  return { loss, output, gradients };
}

/** The names that the model reads its data by, from what is resident. */
export function prepareInputs(
  builder: GraphBuilder,
  raw: readonly string[],
  graph: Graph,
  types: readonly InputType[],
): void {
  graph.inputs.forEach((input, index) => {
    const [value = '', type = 'float32', wanted] = [raw[index], types[index], typeOfInput(input)];
    if (wanted === dataTypes[type]) builder.node('Identity', [value], {}, input.name);
    else if (wanted !== DataType.FLOAT) builder.node('Cast', [value], { to: wanted }, input.name);
    else if (type === 'uint8')
      builder.node(
        'Div',
        [builder.node('Cast', [value], { to: DataType.FLOAT }), builder.floats([], [255])],
        {},
        input.name,
      );
    else builder.node('Cast', [value], { to: DataType.FLOAT }, input.name);
  });
}

/** Declares the data of all inputs and the labels, `count` of each. */
export function dataInputs(
  graph: Graph,
  options: Pick<LossPlan, 'loss' | 'inputs' | 'classAxis'>,
  names: { data: readonly string[]; labels: string },
  count: number | string,
): ValueInfoProto[] {
  return [
    ...graph.inputs.map((input, index) =>
      valueInfo(
        names.data[index] ?? '',
        [count, ...sampleShape(input)],
        dataTypes[options.inputs[index] ?? 'float32'],
      ),
    ),
    valueInfo(
      names.labels,
      [count, ...labelShape(graph, options.loss, options.classAxis)],
      dataTypes[labelType(options.loss)],
    ),
  ];
}

/** Names for the data of all inputs. */
export function dataNames(graph: Graph, names: Names): string[] {
  return graph.inputs.map(() => names.fresh('data'));
}

export function usedNames(graph: Graph): Names {
  const all = [...graph.inputs, ...graph.weights, ...graph.constants].map(({ name }) => name);
  return new Names([...all, ...graph.nodes.flatMap((node) => [node.name, ...node.output])]);
}

export function planShape(
  graph: Graph,
  options: Pick<LossPlan, 'loss' | 'classAxis'>,
  model: Uint8Array<ArrayBuffer>,
): PlanShape {
  return {
    model,
    samples: graph.inputs.map(sampleShape),
    labels: labelShape(graph, options.loss, options.classAxis),
    classes: Number(graph.output.dims.at(options.classAxis ?? -1)),
  };
}

export function outputShape(graph: Graph): Shape {
  return graph.output.dims.slice(1).map(Number);
}

function sampleShape(input: Graph['inputs'][number]): Shape {
  return input.dims.slice(1).map(Number);
}
