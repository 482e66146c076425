import { differentiate } from './differentiate.js';
import { batchSymbol, inputType as typeOfInput, readGraph, type Graph } from './graph.js';
import { appendLoss, labelType, softmaxCrossEntropy, type LossOptions } from './loss.js';
import { countClasses, labelShape } from './modelData.js';
import { encodeModel, GraphBuilder, Names, valueInfo } from './onnx/builder.js';
import { TensorProto_DataType as DataType } from './onnx/onnx.gen.js';
import type { Shape } from './onnx/tensor.js';
import { clipByNorm, isPlain, sgdStep, updateRule, type Optimizer } from './optimizers.js';
import { prepare } from './prepare.js';

/** Type of the resident data: uint8 for pixels, divided by 255 in the graph; others are taken as they are. */
export type InputType = 'uint8' | 'float32' | 'int32' | 'int64';

export interface TrainingOptions {
  readonly loss: LossOptions['name'];
  readonly labelSmoothing?: number;
  readonly ignoredLabel?: number;
  readonly optimizer: Optimizer;
  /** Samples per step. */
  readonly batch: number;
  readonly input: InputType;
  /** FedProx: strength of the pull back to the weights the training started from (Li et al. 2020). */
  readonly prox?: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm?: number;
  /** The learning rate changes from step to step, and is fed. */
  readonly scheduled?: boolean;
  /** Weights that weight decay leaves alone: usually biases and norms. */
  readonly undecayed?: readonly string[];
}

/** What a graph asks of its data, and what it can tell apart. */
interface PlanShape {
  /** ONNX file to run. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** Shape of one sample. */
  readonly sample: Shape;
  /** Shape of one sample's labels: [] for a class, and of numbers as the output for losses that compare them. */
  readonly labels: Shape;
  /** Bound of the labels where they are class ids. */
  readonly classes: number;
}

/** A tensor that passes from step to step. */
interface Passed {
  readonly name: string;
  readonly shape: Shape;
  readonly before: string;
  readonly after: string;
}

/**
 * A graph that does any number of training steps in one run. Feeds: `data` [N, ...sample], `labels` int32 or float32
 * [N, ...labels], `order` int32 [steps, batch] (which samples each step takes), `before` of each weight and slot, the
 * `anchor` of a weight if it has one, and `rates` [steps, n] if there are any. Results: `losses` float32 [steps] (before
 * the step) and `after` of each weight and slot.
 */
export interface TrainingPlan extends PlanShape {
  readonly weights: readonly (Passed & {
    /** With FedProx: the weight before the first step of the training, which later runs no longer start from. */
    readonly anchor?: string;
  })[];
  /** What the optimiser keeps; zeros before the first step. */
  readonly slots: readonly Passed[];
  readonly names: {
    readonly data: string;
    readonly labels: string;
    readonly order: string;
    readonly losses: string;
    /** Numbers of each step (UpdateRule.rates). */
    readonly rates?: string;
  };
}

/**
 * A graph that judges a batch of any size. Feeds: `data` [n, ...sample], `labels` [n, ...labels] and each weight under its
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
 * A graph that computes loss, output and gradients of one batch of a fixed size. Feeds: `data`, `labels` and each weight
 * under its own name. Results: `loss`, `output` and, by weight, `gradients` (absent where nothing flows).
 */
export interface GradientPlan extends PlanShape {
  readonly weights: readonly { readonly name: string; readonly shape: Shape }[];
  readonly gradients: ReadonlyMap<string, string>;
  readonly names: {
    readonly data: string;
    readonly labels: string;
    readonly loss: string;
    readonly output: string;
  };
}

/**
 * Compiles a graph (of readModel) into its training: a Scan over steps whose state are the weights.
 * @throws the errors of readModel, and MODEL_SHAPE_MISMATCH when the output does not fit the loss.
 */
export function compileTraining(graphBytes: Uint8Array, options: TrainingOptions): TrainingPlan {
  const graph = readGraph(graphBytes);
  const { batch } = options;
  const names = usedNames(graph);
  const [outer, body] = [new GraphBuilder(names), new GraphBuilder(names)];
  const [data, labels, order, row] = ['data', 'labels', 'order', 'row'].map((name) => names.fresh(name)) as [
    string,
    string,
    string,
    string,
  ];
  const forward = prepare(graph, batch, names);
  const shape = labelShape(graph, options.loss);

  body.constants.push(...forward.constants);
  const labelsOfBatch = body.node('Gather', [labels, row]);
  prepareInput(body, body.node('Gather', [data, row]), graph, options.input);
  const weights = graph.weights.map((weight) => ({
    ...weight,
    before: names.fresh(`before/${weight.name}`),
    ...(options.prox ? { anchor: names.fresh(`anchor/${weight.name}`) } : {}),
    after: names.fresh(`after/${weight.name}`),
  }));
  const { optimizer } = options;
  const fused =
    isPlain(optimizer) && !options.scheduled && options.clipNorm === undefined
      ? sgdStep(outer, body, { ...options, optimizer })
      : undefined;
  const bases = new Map(weights.map(({ name, anchor }) => [name, fused?.base(name, anchor) ?? name]));
  body.nodes.push(...forward.nodes);
  const loss = appendLoss(
    body,
    lossOptions(options),
    graph.output.name,
    [batch, ...outputShape(graph)],
    labelsOfBatch,
  );
  const output = { name: graph.output.name, gradient: loss.gradient(fused?.gradientScale ?? 1) };
  const wanted = weights.map(({ name }) => name);
  const gradients = differentiate(body, forward.nodes, forward.known, output, wanted, forward.opset);

  const rule = updateRule(optimizer);
  const rateCount = fused ? 0 : rule.rates(1, 1).length;
  const [rates, rateRow] = [names.fresh('rates'), names.fresh('rate_row')];
  const slots: Passed[] = [];
  const slotStates: { state: string; updated: string }[] = [];
  const updated: string[] = [];
  if (fused)
    updated.push(...weights.map(({ name }) => fused.update(bases.get(name) ?? name, gradients.get(name))));
  else {
    const limited =
      options.clipNorm === undefined ? gradients : clipByNorm(body, gradients, options.clipNorm);
    const rateNames = Array.from({ length: rateCount }, (_, i) =>
      body.node('Gather', [rateRow, body.ints([], [i])], { axis: 0 }),
    );
    for (const { name, shape, anchor } of weights) {
      const states = Array.from({ length: rule.slots }, (_, i) => names.fresh(`slot${i}/${name}`));
      const gradient =
        pulled(body, limited.get(name), name, anchor, options.prox) ??
        body.node('Expand', [body.floats([], [0]), body.ints([shape.length], shape)]);
      const next = rule.update(body, name, gradient, states, rateNames, !options.undecayed?.includes(name));
      updated.push(next.weight);
      states.forEach((state, i) => {
        slots.push({
          name: `${name}/${i}`,
          shape,
          before: names.fresh(`before/${state}`),
          after: names.fresh(`after/${state}`),
        });
        slotStates.push({ state, updated: next.slots[i] ?? '' });
      });
    }
  }

  const losses = names.fresh('losses');
  const rateInputs = rateCount > 0 ? [rates] : [];
  const bodyGraph = body.graph(
    'step',
    [
      ...weights.map(({ name, shape }) => valueInfo(name, shape)),
      ...slots.map(({ shape }, i) => valueInfo(slotStates[i]?.state ?? '', shape)),
      valueInfo(row, [batch], DataType.INT32),
      ...rateInputs.map(() => valueInfo(rateRow, [rateCount])),
    ],
    [
      ...weights.map(({ shape }, index) => valueInfo(updated[index] ?? '', shape)),
      ...slots.map(({ shape }, i) => valueInfo(slotStates[i]?.updated ?? '', shape)),
      valueInfo(loss.mean, []),
    ],
  );
  const passed = [...weights, ...slots];
  outer.add(
    'Scan',
    [...passed.map(({ before }) => before), order, ...rateInputs],
    [...passed.map(({ after }) => after), losses],
    { body: { graph: bodyGraph }, num_scan_inputs: 1 + rateInputs.length },
  );
  const proto = outer.graph(
    'training',
    [
      valueInfo(data, ['samples', ...sampleShape(graph)], dataTypes[options.input]),
      valueInfo(labels, ['samples', ...shape], dataTypes[labelType(options.loss)]),
      valueInfo(order, ['steps', batch], DataType.INT32),
      ...rateInputs.map((name) => valueInfo(name, ['steps', rateCount])),
      ...passed.map(({ before, shape }) => valueInfo(before, shape)),
      ...weights.flatMap(({ anchor, shape }) => (anchor === undefined ? [] : [valueInfo(anchor, shape)])),
    ],
    [...passed.map(({ after, shape }) => valueInfo(after, shape)), valueInfo(losses, ['steps'])],
  );
  return {
    ...planShape(graph, options.loss, encodeModel(proto, forward.opset)),
    weights,
    slots,
    names: { data, labels, order, losses, ...(rateCount > 0 ? { rates } : {}) },
  };
}

/**
 * Compiles a graph into its evaluation: softmax cross-entropy and predicted class of each sample.
 * @throws as compileTraining
 */
export function compileEvaluation(
  graphBytes: Uint8Array,
  options: Pick<TrainingOptions, 'input'>,
): EvaluationPlan {
  const graph = readGraph(graphBytes);
  const names = usedNames(graph);
  const builder = new GraphBuilder(names);
  const [data, labels] = [names.fresh('data'), names.fresh('labels')];
  builder.constants.push(...graph.constants);
  prepareInput(builder, data, graph, options.input);
  builder.nodes.push(...graph.nodes);
  const { each } = softmaxCrossEntropy(builder, graph.output.name, labels, countClasses(graph.output));
  const predictions = builder.node('ArgMax', [graph.output.name], { axis: 1, keepdims: 0 });
  const proto = builder.graph(
    'evaluation',
    [
      valueInfo(data, [batchSymbol, ...sampleShape(graph)], dataTypes[options.input]),
      valueInfo(labels, [batchSymbol], DataType.INT32),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    [valueInfo(each, [batchSymbol]), valueInfo(predictions, [batchSymbol], DataType.INT64)],
  );
  return {
    ...planShape(graph, 'softmax_cross_entropy', encodeModel(proto, graph.opset)),
    weights: graph.weights,
    names: { data, labels, losses: each, predictions },
  };
}

/**
 * Compiles a graph into one forward and backward pass over a batch.
 * @throws as compileTraining
 */
export function compileGradients(
  graphBytes: Uint8Array,
  options: Pick<TrainingOptions, 'loss' | 'labelSmoothing' | 'ignoredLabel' | 'input' | 'batch'>,
): GradientPlan {
  const graph = readGraph(graphBytes);
  const { batch } = options;
  const names = usedNames(graph);
  const builder = new GraphBuilder(names);
  const [data, labels] = [names.fresh('data'), names.fresh('labels')];
  const forward = prepare(graph, batch, names);
  builder.constants.push(...forward.constants);
  prepareInput(builder, data, graph, options.input);
  builder.nodes.push(...forward.nodes);
  const loss = appendLoss(
    builder,
    lossOptions(options),
    graph.output.name,
    [batch, ...outputShape(graph)],
    labels,
  );
  const wanted = graph.weights.map(({ name }) => name);
  const seed = { name: graph.output.name, gradient: loss.gradient(1) };
  const found = differentiate(builder, forward.nodes, forward.known, seed, wanted, forward.opset);
  // An Identity gives each result a name of its own, also where two weights have the same gradient.
  const gradients = new Map([...found].map(([name, value]) => [name, builder.node('Identity', [value])]));
  const output = builder.node('Identity', [graph.output.name]);
  const proto = builder.graph(
    'gradients',
    [
      valueInfo(data, [batch, ...sampleShape(graph)], dataTypes[options.input]),
      valueInfo(labels, [batch, ...labelShape(graph, options.loss)], dataTypes[labelType(options.loss)]),
      ...graph.weights.map(({ name, shape }) => valueInfo(name, shape)),
    ],
    [
      valueInfo(loss.mean, []),
      valueInfo(output, [batch, ...outputShape(graph)]),
      ...graph.weights.flatMap(({ name, shape }) => {
        const gradient = gradients.get(name);
        return gradient === undefined ? [] : [valueInfo(gradient, shape)];
      }),
    ],
  );
  return {
    ...planShape(graph, options.loss, encodeModel(proto, forward.opset)),
    weights: graph.weights,
    gradients,
    names: { data, labels, loss: loss.mean, output },
  };
}

const dataTypes = {
  uint8: DataType.UINT8,
  float32: DataType.FLOAT,
  int32: DataType.INT32,
  int64: DataType.INT64,
} as const;

function lossOptions(
  options: Pick<TrainingOptions, 'loss' | 'labelSmoothing' | 'ignoredLabel'>,
): LossOptions {
  return {
    name: options.loss,
    ...(options.labelSmoothing === undefined ? {} : { labelSmoothing: options.labelSmoothing }),
    ...(options.ignoredLabel === undefined ? {} : { ignoredLabel: options.ignoredLabel }),
  };
}

/** FedProx for optimisers that are not fused: its pull is part of the gradient. */
function pulled(
  body: GraphBuilder,
  gradient: string | undefined,
  weight: string,
  anchor: string | undefined,
  prox = 0,
): string | undefined {
  if (anchor === undefined) return gradient;
  const pull = body.node('Mul', [body.node('Sub', [weight, anchor]), body.floats([], [prox])]);
  return gradient === undefined ? pull : body.node('Add', [gradient, pull]);
}

/** The name that the model reads its data by, from what is resident. */
function prepareInput(builder: GraphBuilder, raw: string, graph: Graph, type: InputType): void {
  const { name } = graph.input;
  const wanted = typeOfInput(graph.input);
  if (wanted === dataTypes[type]) builder.node('Identity', [raw], {}, name);
  else if (wanted !== DataType.FLOAT) builder.node('Cast', [raw], { to: wanted }, name);
  else if (type === 'uint8')
    builder.node(
      'Div',
      [builder.node('Cast', [raw], { to: DataType.FLOAT }), builder.floats([], [255])],
      {},
      name,
    );
  else builder.node('Cast', [raw], { to: DataType.FLOAT }, name);
}

function usedNames(graph: Graph): Names {
  const all = [graph.input, ...graph.weights, ...graph.constants].map(({ name }) => name);
  return new Names([...all, ...graph.nodes.flatMap((node) => [node.name, ...node.output])]);
}

function planShape(graph: Graph, loss: LossOptions['name'], model: Uint8Array<ArrayBuffer>): PlanShape {
  return {
    model,
    sample: sampleShape(graph),
    labels: labelShape(graph, loss),
    classes: Number(graph.output.dims.at(-1)),
  };
}

function sampleShape(graph: Graph): Shape {
  return graph.input.dims.slice(1).map(Number);
}

function outputShape(graph: Graph): Shape {
  return graph.output.dims.slice(1).map(Number);
}
