import { withLocalStatistics } from '../batchNorm.js';
import { readGraph } from '../graph.js';
import { peakBytes } from '../memory.js';
import { encodeModel, GraphBuilder, valueInfo } from '../onnx/builder.js';
import { TensorProto_DataType as DataType, type GraphProto } from '../onnx/onnx.gen.js';
import { isPlain, sgdStep, updateRule } from '../optimizers.js';
import { prepare } from '../prepare.js';
import { dataInputs, dataNames, planShape, usedNames } from './parts.js';
import type { Passed, TrainingOptions, TrainingPlan } from './plan.js';
import { appendParts, appendStep, type Step } from './step.js';
import { appendUpdates } from './updates.js';

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
