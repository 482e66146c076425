import { trainingOptions, type TrainingWishes } from './compile/options.js';
import { compileTraining } from './compile/training.js';
import type { Model } from './model.js';
import { checkModelData, classAxis, type DataShape } from './modelData.js';

/**
 * Whether a model can be trained as a job asks, on data of this shape. It is compiled, and nothing is run: what a runner
 * would refuse is refused before anybody is asked.
 * @throws MODEL_SHAPE_MISMATCH, MODEL_UNSUPPORTED, MODEL_UNKNOWN_OPERATOR naming node and weight, and INVALID_INPUT for
 * wishes that do not fit the model
 */
export function checkTrainable(
  model: Model,
  wishes: TrainingWishes & { readonly batchNorm?: 'frozen' | 'local' },
  data: DataShape,
): void {
  checkModelData(model, data, wishes.loss);
  const axis = classAxis(model, wishes.loss, data.labels ?? []);
  compileTraining(
    model.graph,
    trainingOptions(wishes, wishes.batch, {
      inputs: model.inputs.map(({ integers }) => integers ?? 'float32'),
      ...(axis === undefined ? {} : { classAxis: axis }),
      ...(wishes.batchNorm === 'local' ? { batchNorm: 'local' } : {}),
    }),
  );
}
