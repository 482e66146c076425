import { differentiate } from './differentiate.js';
import { batchSymbol, readGraph, shapesAt, type Graph } from './graph.js';
import { softmaxCrossEntropy, type LossName } from './loss.js';
import { countClasses } from './modelData.js';
import { encodeModel, GraphBuilder, Names, valueInfo } from './onnx/builder.js';
import { TensorProto_DataType as DataType } from './onnx/onnx.gen.js';
import type { Shape } from './onnx/tensor.js';
import { sgdStep, type Optimizer } from './sgd.js';

/** Type of the resident data: uint8 (pixels, divided by 255 in the graph) or float32 (taken as it is). */
export type InputType = 'uint8' | 'float32';

export interface TrainingOptions {
  readonly loss: LossName;
  readonly optimizer: Optimizer;
  /** Samples per step. */
  readonly batch: number;
  readonly input: InputType;
  /** FedProx: strength of the pull back to the weights the training started from (Li et al. 2020). */
  readonly prox?: number;
}

/** What a graph asks of its data, and what it can tell apart. */
interface PlanShape {
  /** ONNX file to run. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** Shape of one sample. */
  readonly sample: Shape;
  readonly classes: number;
}

/**
 * A graph that does any number of training steps in one run. Feeds: `data` [N, ...sample], `labels` int32 [N],
 * `order` int32 [steps, batch] (which samples each step takes) `before` of each weight, and its `anchor` if it has one. Results: `losses`
 * float32 [steps] (mean over the batch, before the step) and `after` of each weight.
 */
export interface TrainingPlan extends PlanShape {
  readonly weights: readonly {
    readonly name: string;
    readonly shape: Shape;
    readonly before: string;
    /** With FedProx: the weight before the first step of the training, which later runs no longer start from. */
    readonly anchor?: string;
    readonly after: string;
  }[];
  readonly names: {
    readonly data: string;
    readonly labels: string;
    readonly order: string;
    readonly losses: string;
  };
}

/**
 * A graph that judges a batch of any size. Feeds: `data` [n, ...sample], `labels` int32 [n] and each weight under its
 * own name. Results: `losses` float32 [n] and `predictions` int64 [n].
 */
export interface EvaluationPlan extends PlanShape {
  readonly weights: readonly { readonly name: string; readonly shape: Shape }[];
  readonly names: {
    readonly data: string;
    readonly labels: string;
    readonly losses: string;
    readonly predictions: string;
  };
}

/**
 * Compiles a graph (of readModel) into its training: a Scan over steps whose state are the weights.
 * @throws the errors of readModel, and MODEL_SHAPE_MISMATCH when the output is not [batch, classes].
 */
export function compileTraining(graphBytes: Uint8Array, options: TrainingOptions): TrainingPlan {
  const graph = readGraph(graphBytes);
  const classes = countClasses(graph.output);
  const { batch } = options;
  const { shapes } = shapesAt(graph, batch);
  const names = usedNames(graph);
  const [outer, body] = [new GraphBuilder(names), new GraphBuilder(names)];
  const [data, labels, order, row] = ['data', 'labels', 'order', 'row'].map((name) => names.fresh(name)) as [
    string,
    string,
    string,
    string,
  ];

  body.constants.push(...graph.constants);
  const labelsOfBatch = body.node('Gather', [labels, row]);
  prepareInput(body, body.node('Gather', [data, row]), graph.input.name, options.input);
  const step = sgdStep(outer, body, options);
  const weights = graph.weights.map((weight) => ({
    ...weight,
    before: names.fresh(`before/${weight.name}`),
    ...(options.prox ? { anchor: names.fresh(`anchor/${weight.name}`) } : {}),
    after: names.fresh(`after/${weight.name}`),
  }));
  const bases = new Map(weights.map(({ name, anchor }) => [name, step.base(name, anchor)]));
  body.nodes.push(...graph.nodes);
  const loss = softmaxCrossEntropy(body, graph.output.name, labelsOfBatch, classes);
  const mean = body.node('ReduceMean', [loss.each], { keepdims: 0 });
  const output = { name: graph.output.name, gradient: loss.gradient(step.gradientScale / batch) };
  const gradients = differentiate(
    body,
    graph.nodes,
    shapes,
    output,
    weights.map(({ name }) => name),
  );
  const updated = weights.map(({ name }) => step.update(bases.get(name) ?? name, gradients.get(name)));

  const losses = names.fresh('losses');
  const state = weights.map(({ name, shape }) => valueInfo(name, shape));
  const bodyGraph = body.graph(
    'step',
    [...state, valueInfo(row, [batch], DataType.INT32)],
    [...weights.map(({ shape }, index) => valueInfo(updated[index] ?? '', shape)), valueInfo(mean, [])],
  );
  outer.add(
    'Scan',
    [...weights.map(({ before }) => before), order],
    [...weights.map(({ after }) => after), losses],
    {
      body: { graph: bodyGraph },
      num_scan_inputs: 1,
    },
  );
  const sample = sampleShape(graph);
  const proto = outer.graph(
    'training',
    [
      valueInfo(data, ['samples', ...sample], dataTypes[options.input]),
      valueInfo(labels, ['samples'], DataType.INT32),
      valueInfo(order, ['steps', batch], DataType.INT32),
      ...weights.map(({ before, shape }) => valueInfo(before, shape)),
      ...weights.flatMap(({ anchor, shape }) => (anchor === undefined ? [] : [valueInfo(anchor, shape)])),
    ],
    [...weights.map(({ after, shape }) => valueInfo(after, shape)), valueInfo(losses, ['steps'])],
  );
  return {
    model: encodeModel(proto, graph.opset),
    sample,
    classes,
    weights,
    names: { data, labels, order, losses },
  };
}

/**
 * Compiles a graph into its evaluation: loss and predicted class of each sample.
 * @throws as compileTraining
 */
export function compileEvaluation(
  graphBytes: Uint8Array,
  options: Pick<TrainingOptions, 'loss' | 'input'>,
): EvaluationPlan {
  const graph = readGraph(graphBytes);
  const classes = countClasses(graph.output);
  const names = usedNames(graph);
  const builder = new GraphBuilder(names);
  const [data, labels] = [names.fresh('data'), names.fresh('labels')];
  builder.constants.push(...graph.constants);
  prepareInput(builder, data, graph.input.name, options.input);
  builder.nodes.push(...graph.nodes);
  const { each } = softmaxCrossEntropy(builder, graph.output.name, labels, classes);
  const predictions = builder.node('ArgMax', [graph.output.name], { axis: 1, keepdims: 0 });
  const sample = sampleShape(graph);
  const proto = builder.graph(
    'evaluation',
    [
      valueInfo(data, [batchSymbol, ...sample], dataTypes[options.input]),
      valueInfo(labels, [batchSymbol], DataType.INT32),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    [valueInfo(each, [batchSymbol]), valueInfo(predictions, [batchSymbol], DataType.INT64)],
  );
  return {
    model: encodeModel(proto, graph.opset),
    sample,
    classes,
    weights: graph.weights,
    names: { data, labels, losses: each, predictions },
  };
}

const dataTypes = { uint8: DataType.UINT8, float32: DataType.FLOAT } as const;

function prepareInput(builder: GraphBuilder, raw: string, name: string, type: InputType): void {
  if (type === 'float32') builder.node('Identity', [raw], {}, name);
  else
    builder.node(
      'Div',
      [builder.node('Cast', [raw], { to: DataType.FLOAT }), builder.floats([], [255])],
      {},
      name,
    );
}

function usedNames(graph: Graph): Names {
  const all = [graph.input, ...graph.weights, ...graph.constants].map(({ name }) => name);
  return new Names([...all, ...graph.nodes.flatMap((node) => [node.name, ...node.output])]);
}

function sampleShape(graph: Graph): Shape {
  return graph.input.dims.slice(1).map(Number);
}
