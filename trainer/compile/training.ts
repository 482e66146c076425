import { withLocalStatistics } from '../batchNorm.js';
import { matcher } from '../patterns.js';
import { appendMasks } from '../dropout.js';
import { readGraph, type Graph } from '../graph.js';
import { peakBytes } from '../memory.js';
import { encodeModel, GraphBuilder, valueInfo, type Names } from '../onnx/builder.js';
import { TensorProto_DataType as DataType, type GraphProto } from '../onnx/onnx.gen.js';
import type { Shape } from '../onnx/tensor.js';
import { clipByNorm, isPlain, sgdStep, updateRule, type UpdateRule } from '../optimizers.js';
import { prepare, type Prepared } from '../prepare.js';
import { appendBackward, dataInputs, dataNames, planShape, prepareInputs, usedNames } from './parts.js';
import type { Passed, TrainingOptions, TrainingPlan } from './plan.js';

type Weight = TrainingPlan['weights'][number];

/**
 * Compiles a graph (of readModel) into its training: a Scan over steps whose state are the weights and what the optimiser
 * keeps. With `parts` the step holds another Scan, whose state are sums of gradients.
 * @throws the errors of readModel, MODEL_SHAPE_MISMATCH when the output does not fit the loss, and INVALID_INPUT for
 * options that do not fit the graph.
 */
export function compileTraining(graphBytes: Uint8Array, options: TrainingOptions): TrainingPlan {
  const read = readGraph(graphBytes);
  const { batch, optimizer, parts = 1 } = options;
  const names = usedNames(read);
  const graph = options.batchNorm === 'local' ? withLocalStatistics(read, names) : read;
  const [outer, body] = [new GraphBuilder(names), new GraphBuilder(names)];
  const data = dataNames(graph, names);
  const fresh = (hint: string) => names.fresh(hint);
  const [labels, order, row, seeds, seed] = [
    fresh('labels'),
    fresh('order'),
    fresh('row'),
    fresh('seeds'),
    fresh('seed'),
  ];
  const forward = prepare(graph, batch / parts, names, options.dropout);
  const weights: Weight[] = graph.weights.map((weight) => ({
    ...weight,
    before: fresh(`before/${weight.name}`),
    ...(options.prox ? { anchor: fresh(`anchor/${weight.name}`) } : {}),
    ...(options.corrected ? { correction: fresh(`correction/${weight.name}`) } : {}),
    after: fresh(`after/${weight.name}`),
  }));
  const fused =
    isPlain(optimizer) && !options.scheduled && options.clipNorm === undefined && parts === 1
      ? sgdStep(outer, body, { ...options, optimizer })
      : undefined;
  const bases = new Map(weights.map((weight) => [weight.name, fused?.base(weight) ?? weight.name]));

  const step: Step = { graph, forward, options, data, labels, row, seed };
  const factor = fused?.gradientScale ?? 1 / parts;
  const { loss, gradients, states } =
    parts === 1 ? appendStep(body, step, factor) : appendParts(body, names, step, parts, factor);
  const statistics = states.map((state) => ({
    ...state,
    before: fresh(`before/${state.name}`),
    after: fresh(`after/${state.name}`),
  }));

  const rule = updateRule(optimizer);
  const update = fused
    ? {
        weights: weights.map(({ name }) => fused.update(bases.get(name) ?? name, gradients.get(name))),
        slots: [],
        rateRow: '',
        rateCount: 0,
      }
    : appendUpdates(body, names, rule, weights, gradients, options);

  const { rateCount, rateRow } = update;
  const slots = [...update.slots, ...statistics];
  const [losses, rates] = [fresh('losses'), fresh('rates')];
  const rateInputs = rateCount > 0 ? [rates] : [];
  const seedInputs = forward.masks.length > 0 ? [seeds] : [];
  const rowShape = parts === 1 ? [batch] : [parts, batch / parts];
  const bodyGraph = body.graph(
    'step',
    [
      ...weights.map(({ name, shape }) => valueInfo(name, shape)),
      ...slots.map(({ shape, state }) => valueInfo(state, shape)),
      valueInfo(row, rowShape, DataType.INT32),
      ...rateInputs.map(() => valueInfo(rateRow, [rateCount])),
      ...seedInputs.map(() => valueInfo(seed, [], DataType.INT64)),
    ],
    [
      ...weights.map(({ shape }, index) => valueInfo(update.weights[index] ?? '', shape)),
      ...slots.map(({ shape, updated }) => valueInfo(updated, shape)),
      valueInfo(loss, []),
    ],
  );
  const passed: Passed[] = [...weights, ...slots];
  const rows = parts === 1 ? order : outer.node('Reshape', [order, outer.ints([3], [-1, ...rowShape])]);
  const feeds = [...passed.map(({ before }) => before), rows, ...rateInputs, ...seedInputs];
  const results = [...passed.map(({ after }) => after), losses];
  if (options.single) appendOnce(outer, bodyGraph, feeds, results);
  else
    outer.add('Scan', feeds, results, {
      body: { graph: bodyGraph },
      num_scan_inputs: 1 + rateInputs.length + seedInputs.length,
    });
  const proto = outer.graph(
    'training',
    [
      ...dataInputs(graph, options, { data, labels }, 'samples'),
      valueInfo(order, ['steps', batch], DataType.INT32),
      ...rateInputs.map((name) => valueInfo(name, ['steps', rateCount])),
      ...seedInputs.map((name) => valueInfo(name, ['steps'], DataType.INT64)),
      ...passed.map(({ before, shape }) => valueInfo(before, shape)),
      ...weights.flatMap(({ anchor, correction, shape }) =>
        [anchor, correction].flatMap((name) => (name === undefined ? [] : [valueInfo(name, shape)])),
      ),
    ],
    [...passed.map(({ after, shape }) => valueInfo(after, shape)), valueInfo(losses, ['steps'])],
  );
  return {
    ...planShape(graph, options, encodeModel(proto, forward.opset)),
    single: options.single ?? false,
    weights,
    slots: update.slots.map(passedOf),
    statistics: statistics.map(passedOf),
    names: {
      data,
      labels,
      order,
      losses,
      ...(rateCount > 0 ? { rates } : {}),
      ...(forward.masks.length > 0 ? { seeds } : {}),
    },
    peakBytes: peakBytes(bodyGraph, forward, { passed, samples: graph.inputs.length * batch }),
  };
}

function passedOf({ name, shape, before, after }: Passed): Passed {
  return { name, shape, before, after };
}

/** The step itself in place of a Scan over one: what a Scan would cut off and put on, reshapes do. */
function appendOnce(
  outer: GraphBuilder,
  step: GraphProto,
  feeds: readonly string[],
  results: readonly string[],
): void {
  step.input.forEach(({ name, type }, index) => {
    const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
    const shape = dims.map(({ value }) => Number(value.value));
    outer.node('Reshape', [feeds[index] ?? '', outer.ints([shape.length], shape)], {}, name);
  });
  outer.nodes.push(...step.node);
  outer.constants.push(...step.initializer);
  step.output.forEach(({ name }, index) => {
    const [result = '', isLoss] = [results[index], index === step.output.length - 1];
    if (isLoss) outer.node('Reshape', [name, outer.ints([1], [1])], {}, result);
    else outer.node('Identity', [name], {}, result);
  });
}

/** What one step computes from. */
interface Step {
  readonly graph: Graph;
  readonly forward: Prepared;
  readonly options: TrainingOptions;
  readonly data: readonly string[];
  readonly labels: string;
  /** Samples of this step, int32 [batch]. */
  readonly row: string;
  /** int64 []; masks of dropout follow from it. */
  readonly seed: string;
}

/** A value that passes from step to step: its name in a step, and that of what it becomes there. */
interface State {
  readonly name: string;
  readonly shape: Shape;
  readonly state: string;
  readonly updated: string;
}

interface Appended {
  readonly loss: string;
  readonly gradients: Map<string, string>;
  readonly states: readonly State[];
}

/** Forward and backward pass over the samples of `row`. */
function appendStep(
  builder: GraphBuilder,
  { graph, forward, options, data, labels, row, seed }: Step,
  factor: number,
): Appended {
  builder.constants.push(...forward.constants);
  const labelsOfBatch = builder.node('Gather', [labels, row]);
  prepareInputs(
    builder,
    data.map((name) => builder.node('Gather', [name, row])),
    graph,
    options.inputs,
  );
  appendMasks(builder, forward.masks, seed);
  builder.nodes.push(...forward.nodes);
  const batch = options.batch / (options.parts ?? 1);
  const { loss, gradients } = appendBackward(
    builder,
    graph,
    forward,
    labelsOfBatch,
    { ...options, batch },
    factor,
  );
  const states = (graph.states ?? []).map(({ name, shape, after }) => ({
    name,
    shape,
    state: name,
    updated: after,
  }));
  return { loss: loss.mean, gradients, states };
}

/** The same in parts, one after the other; gradients add up. */
function appendParts(body: GraphBuilder, names: Names, step: Step, parts: number, factor: number): Appended {
  const inner = new GraphBuilder(names);
  const [row, part] = [names.fresh('part_row'), names.fresh('part')];
  const seed = inner.node('Add', [step.seed, part]);
  const one = appendStep(inner, { ...step, row, seed }, factor);
  const shapes = new Map(step.graph.weights.map(({ name, shape }) => [name, shape]));
  const sums = [...one.gradients].map(([name, gradient]) => {
    const state = names.fresh(`sum/${name}`);
    return {
      name,
      shape: shapes.get(name) ?? [],
      state,
      next: inner.node('Add', [state, gradient]),
      after: names.fresh(`total/${name}`),
    };
  });
  const states = one.states.map((kept) => ({
    ...kept,
    outer: names.fresh(`state/${kept.name}`),
    total: names.fresh(`total/${kept.name}`),
  }));
  const batch = step.options.batch / parts;
  const graph = inner.graph(
    'part',
    [
      ...[...sums, ...states].map(({ state, shape }) => valueInfo(state, shape)),
      valueInfo(row, [batch], DataType.INT32),
      valueInfo(part, [], DataType.INT64),
    ],
    [
      ...sums.map(({ next, shape }) => valueInfo(next, shape)),
      ...states.map(({ updated, shape }) => valueInfo(updated, shape)),
      valueInfo(one.loss, []),
    ],
  );
  const losses = names.fresh('part_losses');
  const zeros = sums.map(({ shape }) =>
    body.node('Expand', [body.floats([], [0]), body.ints([shape.length], shape)]),
  );
  const counted = body.ints([parts], [...Array(parts).keys()]);
  body.add(
    'Scan',
    [...zeros, ...states.map(({ outer }) => outer), step.row, counted],
    [...sums.map(({ after }) => after), ...states.map(({ total }) => total), losses],
    { body: { graph }, num_scan_inputs: 2 },
  );
  return {
    loss: body.node('ReduceMean', [losses], { keepdims: 0 }),
    gradients: new Map(sums.map(({ name, after }) => [name, after])),
    states: states.map(({ name, shape, outer, total }) => ({ name, shape, state: outer, updated: total })),
  };
}

/** What the optimiser makes of gradients, where it is not part of the backward pass. */
function appendUpdates(
  body: GraphBuilder,
  names: Names,
  rule: UpdateRule,
  weights: readonly Weight[],
  gradients: ReadonlyMap<string, string>,
  options: TrainingOptions,
) {
  const rateCount = rule.rates(1, 1).length;
  const rateRow = names.fresh('rate_row');
  const rates = Array.from({ length: rateCount }, (_, i) =>
    body.node('Gather', [rateRow, body.ints([], [i])], { axis: 0 }),
  );
  const limited = options.clipNorm === undefined ? gradients : clipByNorm(body, gradients, options.clipNorm);
  const isUndecayed = matcher(options.undecayed ?? []);
  const updates = weights.map((weight) => {
    const { name, shape } = weight;
    const states = Array.from({ length: rule.slots }, (_, i) => names.fresh(`slot${i}/${name}`));
    const gradient =
      drawn(body, limited.get(name), weight, options.prox) ??
      body.node('Expand', [body.floats([], [0]), body.ints([shape.length], shape)]);
    const next = rule.update(body, name, gradient, states, rates, !isUndecayed(name));
    const slots = states.map((state, i) => ({
      name: `${name}/${i}`,
      shape,
      before: names.fresh(`before/${state}`),
      after: names.fresh(`after/${state}`),
      state,
      updated: next.slots[i] ?? '',
    }));
    return { weight: next.weight, slots };
  });
  return {
    weights: updates.map(({ weight }) => weight),
    slots: updates.flatMap(({ slots }) => slots),
    rateRow,
    rateCount,
  };
}

/** FedProx's pull and SCAFFOLD's correction as parts of the gradient, for optimisers that are not fused. */
function drawn(
  body: GraphBuilder,
  gradient: string | undefined,
  { name, anchor, correction }: Weight,
  prox = 0,
): string | undefined {
  const pull =
    anchor === undefined
      ? []
      : [body.node('Mul', [body.node('Sub', [name, anchor]), body.floats([], [prox])])];
  const terms = [
    ...(gradient === undefined ? [] : [gradient]),
    ...pull,
    ...(correction === undefined ? [] : [correction]),
  ];
  return terms.length === 0 ? undefined : terms.reduce((sum, term) => body.node('Add', [sum, term]));
}
