import { readFileSync } from 'node:fs';
import type { Api } from '#cli/api.js';
import { specOf } from '#cli/job/submit.js';
import { jobFile, type JobSpec } from '#core/jobSpec.js';
import { encodeDataset } from '#local/consortium/dataset.js';
import type { LocalStack } from '#local/stack.js';
import { few, heldOut } from './digits.js';

/** The example's small convolutional network: six thousand parameters. */
export const cnn = readFileSync('examples/mnist/cnn.onnx');

/**
 * What a job file on digits says: a round with all runners, unless it is written otherwise. The model is what
 * `digitsSpec` is given.
 */
export const digitsFile = (written: Record<string, unknown>) => ({
  version: 1,
  model: 'model.onnx',
  data: { contract: 'digits', input: [1, 28, 28], classes: 10 },
  rounds: 1,
  participants: { quorum: 'all' },
  ...written,
});

/** The spec of such a job for a stack, which has its files then: the model, and held-out digits to judge it by. */
export function digitsSpec(
  api: Api,
  { file }: LocalStack,
  written: Record<string, unknown>,
  model: Uint8Array = cnn,
): Promise<JobSpec> {
  const job = jobFile.parse(digitsFile(written));
  return specOf(api, { job, model, evaluation: encodeDataset(few(200, heldOut)), folder: '.' }, file);
}
