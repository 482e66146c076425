/** One step: forward and backward pass over its samples, at once or in parts. */
import { appendMasks } from '../dropout.js';
import type { Graph } from '../graph.js';
import { GraphBuilder, valueInfo, type Names } from '../onnx/builder.js';
import { TensorProto_DataType as DataType } from '../onnx/onnx.gen.js';
import type { Shape } from '../onnx/tensor.js';
import type { Prepared } from '../prepare.js';
import { appendBackward, prepareInputs } from './parts.js';
import type { TrainingOptions } from './plan.js';

/** What one step computes from. */
export interface Step {
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
export interface State {
  readonly name: string;
  readonly shape: Shape;
  readonly state: string;
  readonly updated: string;
}

export interface Appended {
  readonly loss: string;
  readonly gradients: Map<string, string>;
  readonly states: readonly State[];
}

/** Forward and backward pass over the samples of `row`. */
export function appendStep(
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
export function appendParts(
  body: GraphBuilder,
  names: Names,
  step: Step,
  parts: number,
  factor: number,
): Appended {
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
