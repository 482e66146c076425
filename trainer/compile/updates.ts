import type { GraphBuilder, Names } from '../onnx/builder.js';
import { clipByNorm, type UpdateRule } from '../optimizers.js';
import { matcher } from '../patterns.js';
import type { TrainingOptions, TrainingPlan } from './plan.js';

type Weight = TrainingPlan['weights'][number];

/** What the optimiser makes of gradients, where it is not part of the backward pass. */
export function appendUpdates(
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
