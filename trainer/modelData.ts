import { RoundtableError } from '#core/errors.js';
import type { LossName } from './loss.js';
import type { Model } from './model.js';

/** What is known of a data set without reading it. */
export interface DataShape {
  /** Shape of one sample; of a model with several inputs by their names. */
  readonly input:
    readonly number[] | ReadonlyMap<string, readonly number[]> | Readonly<Record<string, readonly number[]>>;
  /** Labels count from 0 to classes - 1. */
  readonly classes: number;
  /** Shape of one sample's labels; [] (the default) for a class, null where there are none (next_token). */
  readonly labels?: readonly number[] | null;
}

/**
 * Whether a model can learn a data set: samples of exactly its inputs' shapes, and an output for every class.
 * @throws MODEL_SHAPE_MISMATCH with both shapes
 */
export function checkModelData(
  model: Pick<Model, 'inputs' | 'output'>,
  data: DataShape,
  loss: LossName = 'softmax_cross_entropy',
): void {
  checkInputs(model, data.input);
  const given = data.labels ?? [];
  const axis = classAxis(model, loss, given);
  const labels = labelShape(model, loss, axis);
  if (loss !== 'next_token' && labels.join() !== given.join())
    throw mismatch(
      `The model's output ${model.output.name} has shape [${model.output.dims.join(', ')}]; ${loss} expects ${loss === 'softmax_cross_entropy' && given.length === 0 ? '[batch, classes]' : `labels of [${labels.join(', ')}] for each sample, and the data has [${given.join(', ')}]`}.`,
      { model: model.output.dims, data: data.labels },
    );
  const classes = Number(model.output.dims.at(axis ?? -1));
  if (data.classes > classes)
    throw mismatch(
      `The model tells ${classes} classes apart; the data has labels up to ${data.classes - 1}.`,
      {
        model: classes,
        data: data.classes,
      },
    );
}

function checkInputs({ inputs }: Pick<Model, 'inputs'>, data: DataShape['input']): void {
  const [first] = inputs;
  const isNamed = !Array.isArray(data);
  if (!isNamed && inputs.length !== 1)
    throw mismatch(
      `The model has the inputs ${inputs.map(({ name }) => name).join(', ')}; the data has one tensor of samples. Give each a tensor of its own, x/NAME.`,
      { inputs: inputs.map(({ name }) => name) },
    );
  const shapes = namedShapes(data, first?.name ?? '');
  for (const { name, dims } of inputs) {
    const [sample, given] = [dims.slice(1), shapes.get(name)];
    if (given?.join() !== sample.join())
      throw mismatch(
        `The model's input ${name} takes samples of shape [${sample.join(', ')}]; the data has ${given ? `[${given.join(', ')}]` : 'none for it'}. Use other data, or export the model for this shape.`,
        { model: sample, data: given },
      );
  }
}

function namedShapes(data: DataShape['input'], only: string): ReadonlyMap<string, readonly number[]> {
  if (data instanceof Map) return data;
  return new Map(Array.isArray(data) ? [[only, data as readonly number[]]] : Object.entries(data));
}

/**
 * Where the classes stand in an output that has several rows for a sample: last, as in [batch, length, classes], or 1, as
 * torch.nn.functional.cross_entropy wants them, in [batch, classes, height, width]. The labels' shape tells; where both
 * fit, images have them behind the batch and sequences last. Undefined: last.
 */
export function classAxis(
  model: Pick<Model, 'output'>,
  loss: LossName,
  labels: readonly number[],
): 1 | undefined {
  const shape = model.output.dims.slice(1).map(Number);
  if (loss !== 'softmax_cross_entropy' || shape.length < 2) return undefined;
  const fitsLast = shape.slice(0, -1).join() === labels.join();
  const fitsSecond = shape.slice(1).join() === labels.join();
  return fitsSecond && (!fitsLast || shape.length > 2) ? 1 : undefined;
}

/**
 * Shape of one sample's labels: a class for each row of logits, or numbers in the shape of the output.
 * @throws MODEL_SHAPE_MISMATCH where the model's output does not fit the loss
 */
export function labelShape(
  model: Pick<Model, 'inputs' | 'output'>,
  loss: LossName,
  axis?: number,
): readonly number[] {
  const shape = model.output.dims.slice(1).map(Number);
  const [input, ...others] = model.inputs;
  const sample = (input?.dims ?? []).slice(1).map(Number);
  switch (loss) {
    case 'mse':
    case 'bce_with_logits':
      return shape;
    case 'softmax_cross_entropy':
      if (shape.length >= 1) return axis === 1 ? shape.slice(1) : shape.slice(0, -1);
      throw mismatch(
        `The model's output ${model.output.name} has shape [${model.output.dims.join(', ')}]; softmax cross-entropy expects [batch, classes].`,
        { model: model.output.dims },
      );
    case 'next_token':
      if (others.length === 0 && shape.length === 2 && sample.length === 1 && sample[0] === shape[0])
        return sample;
      throw mismatch(
        `The model turns [${input?.dims.join(', ')}] into [${model.output.dims.join(', ')}]; next_token expects tokens [batch, length] and logits [batch, length, classes].`,
        { input: input?.dims, output: model.output.dims },
      );
  }
}

function mismatch(message: string, details: Record<string, unknown>): RoundtableError {
  return new RoundtableError('MODEL_SHAPE_MISMATCH', message, { details });
}
