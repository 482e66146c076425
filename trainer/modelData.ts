import { RoundtableError } from '#core/errors.js';
import type { LossName } from './loss.js';
import type { Model } from './model.js';

/** What is known of a data set without reading it. */
export interface DataShape {
  /** Shape of one sample. */
  readonly input: readonly number[];
  /** Labels count from 0 to classes - 1. */
  readonly classes: number;
  /** Shape of one sample's labels; [] (the default) for a class. */
  readonly labels?: readonly number[];
}

/**
 * Whether a model can learn a data set: samples of exactly its input's shape, and an output for every class.
 * @throws MODEL_SHAPE_MISMATCH with both shapes
 */
export function checkModelData(
  model: Pick<Model, 'input' | 'output'>,
  data: DataShape,
  loss: LossName = 'softmax_cross_entropy',
): void {
  const sample = model.input.dims.slice(1);
  if (sample.join() !== data.input.join())
    throw mismatch(
      `The model's input ${model.input.name} takes samples of shape [${sample.join(', ')}]; the data has [${data.input.join(', ')}]. Use other data, or export the model for this shape.`,
      { model: sample, data: data.input },
    );
  const labels = labelShape(model, loss);
  if (loss !== 'next_token' && labels.join() !== (data.labels ?? []).join())
    throw mismatch(
      `The model's output ${model.output.name} has shape [${model.output.dims.join(', ')}]; ${loss} expects ${loss === 'softmax_cross_entropy' && (data.labels ?? []).length === 0 ? '[batch, classes]' : `labels of [${labels.join(', ')}] for each sample, and the data has [${(data.labels ?? []).join(', ')}]`}.`,
      { model: model.output.dims, data: data.labels },
    );
  const classes = Number(model.output.dims.at(-1));
  if (data.classes > classes)
    throw mismatch(
      `The model tells ${classes} classes apart; the data has labels up to ${data.classes - 1}.`,
      {
        model: classes,
        data: data.classes,
      },
    );
}

/**
 * How many classes an output tells apart.
 * @throws MODEL_SHAPE_MISMATCH unless its shape is [batch, classes]
 */
export function countClasses(output: Model['output']): number {
  const [, classes, ...more] = output.dims;
  if (typeof classes !== 'number' || more.length > 0)
    throw mismatch(
      `The model's output ${output.name} has shape [${output.dims.join(', ')}]; softmax cross-entropy expects [batch, classes].`,
      { model: output.dims },
    );
  return classes;
}

/**
 * Shape of one sample's labels: a class for each row of logits, or numbers in the shape of the output.
 * @throws MODEL_SHAPE_MISMATCH where the model's output does not fit the loss
 */
export function labelShape(model: Pick<Model, 'input' | 'output'>, loss: LossName): readonly number[] {
  const shape = model.output.dims.slice(1).map(Number);
  const sample = model.input.dims.slice(1).map(Number);
  switch (loss) {
    case 'mse':
    case 'bce_with_logits':
      return shape;
    case 'softmax_cross_entropy':
      if (shape.length >= 1) return shape.slice(0, -1);
      throw mismatch(
        `The model's output ${model.output.name} has shape [${model.output.dims.join(', ')}]; softmax cross-entropy expects [batch, classes].`,
        { model: model.output.dims },
      );
    case 'next_token':
      if (shape.length === 2 && sample.length === 1 && sample[0] === shape[0]) return sample;
      throw mismatch(
        `The model turns [${model.input.dims.join(', ')}] into [${model.output.dims.join(', ')}]; next_token expects tokens [batch, length] and logits [batch, length, classes].`,
        { input: model.input.dims, output: model.output.dims },
      );
  }
}

function mismatch(message: string, details: Record<string, unknown>): RoundtableError {
  return new RoundtableError('MODEL_SHAPE_MISMATCH', message, { details });
}
