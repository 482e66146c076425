import { isRoundtableError } from '#core/errors.js';
import { hashJson } from '#core/canonicalJson.js';
import { describeShapes, sameShapes } from '#core/dataShape.js';
import type { Hex, RunnerId } from '#core/hex.js';
import { claimedSamples } from '#core/jobSpec.js';
import type { TrainTask } from '#core/messages.js';
import { versionId } from '#core/model.js';
import { openHashAt, type Selected } from '#core/openHash.js';
import { sha256 } from '#services/sha256.js';
import type { DataSet } from './dataSets.js';
import { refuse } from './refusal.js';

/** Which stack a task came from, and where this runner signs for. */
export interface WorkPlace {
  coordinator: Hex;
  chainId: number;
  jobs: Hex;
}

/**
 * Whether a task is one that this runner may sign for: it is addressed to it, comes from its stack, and its
 * opening commits exactly the model and spec that stand in the task, and this runner among the selected ones.
 * @throws a refusal
 */
export function checkTask(task: TrainTask, runner: RunnerId, place: WorkPlace): void {
  if (task.runner !== runner)
    refuse('TASK_NOT_MINE', `This is runner ${runner}; the task is for ${task.runner}.`);
  if (task.coordinator !== place.coordinator)
    refuse(
      'TASK_NOT_MINE',
      `This came from the stack of ${place.coordinator}; the task is one of ${task.coordinator}.`,
    );
  const { chainId, jobs } = place;
  if (task.domain.chainId !== chainId || task.domain.jobs !== jobs)
    refuse(
      'TASK_NOT_MINE',
      `This runner signs for contract ${jobs} on chain ${chainId}, not for ${task.domain.jobs} on ${task.domain.chainId}.`,
    );
  checkOpening(task);
}

/** What this runner may sign for: `maxSamples` it declared when the round opened. @throws a refusal */
export function checkData(task: TrainTask, data: DataSet | null): DataSet {
  const wanted = task.spec.data;
  if (!data) refuse('DATA_NOT_SERVED', `This runner has no data set ${wanted.contract}.`);
  const { classes, samples } = data.contract;
  if (!sameShapes(data.contract, wanted))
    refuse(
      'MODEL_SHAPE_MISMATCH',
      `Samples of ${wanted.contract} have the shape ${describeShapes(data.contract)} here; the job wants ${describeShapes(wanted)}.`,
    );
  if (classes > wanted.classes)
    refuse(
      'MODEL_SHAPE_MISMATCH',
      `${wanted.contract} has ${classes} classes here; the job knows ${wanted.classes}.`,
    );
  const declared =
    task.opening.selection.find((selected) => selected.runner === task.runner)?.maxSamples ?? 0;
  if (claimedSamples(wanted, samples) > declared)
    refuse(
      'SAMPLES_EXCEEDED',
      `${wanted.contract} has grown to ${samples} samples; the round opened with ${declared}. The next round takes them.`,
    );
  return data;
}

function checkOpening({ opening, place, spec, model, runner }: TrainTask): void {
  const [selected, ...others] = opening.selection;
  if (selected?.runner !== runner || others.length > 0)
    refuse('OPENING_INVALID', `The task does not say that the round's selection contains ${runner}.`);
  if (hashJson(sha256, spec) !== opening.specHash)
    refuse('OPENING_INVALID', 'The spec in the task does not have the hash that the round committed to.');
  const version = versionId(sha256, {
    graphHash: model.graph,
    paramsRoot: model.paramsRoot,
    stepsHash: model.stepsHash,
    stateRoot: model.stateRoot,
  });
  if (version !== model.versionId || version !== opening.baseVersion)
    refuse('OPENING_INVALID', 'The model in the task is not the base version that the round committed to.');
  if (committed(opening, selected, place) !== opening.openHash)
    refuse('OPENING_INVALID', "The opening's fields do not have the hash that the task wants signed.");
}

/** Null when no selection has that place. */
function committed(
  opening: TrainTask['opening'],
  selected: Selected,
  place: TrainTask['place'],
): string | null {
  try {
    return openHashAt(sha256, opening, selected, place);
  } catch (error) {
    if (isRoundtableError(error, 'INVALID_INPUT')) return null;
    throw error;
  }
}
